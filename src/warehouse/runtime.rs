//! The engine's settings: bounded memory, spilling joins, one time zone.

use std::sync::Arc;
use std::time::Duration;

use datafusion::catalog::{
    CatalogProvider, CatalogProviderList, MemoryCatalogProvider, MemoryCatalogProviderList, MemorySchemaProvider,
};
use datafusion::common::DataFusionError;
use datafusion::execution::disk_manager::DiskManagerBuilder;
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use datafusion::execution::{SessionState, SessionStateBuilder};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_optimizer::optimizer::PhysicalOptimizer;
use datafusion::prelude::{SessionConfig, SessionContext};

use super::error::WarehouseError;
use super::memory::{self, QueryMemory};
use super::{
    alike, bounded, calendar, climb, distinct, first_copies, functions, null_sums, one_pass, ordered_lists, streaks,
    type_names,
};
use crate::storage;

/// The limit where neither the command line nor a control group names one: 2 GB.
const DEFAULT_MEMORY_LIMIT_BYTES: u64 = 2_000_000_000;

/// Where control groups state a process's memory limit, newest layout first.
const CONTROL_GROUP_LIMITS: [&str; 2] = ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"];

/// How much of the machine queries may take.
#[derive(Clone, Debug, Default)]
pub struct WarehouseOptions {
    /// Memory for queries in bytes, 64 MB and 16 MB for each thread at least; by default 60 % of the control group's limit, else 2 GB.
    pub memory_limit_bytes: Option<u64>,
    /// Threads for queries; by default one per core, or as many as can share the memory.
    pub threads: Option<usize>,
    /// The folder for what does not fit in memory; by default the system's.
    pub spill_directory: Option<std::path::PathBuf>,
    /// How long one query may take; by default as long as it likes.
    pub query_timeout: Option<Duration>,
}

impl WarehouseOptions {
    fn limit_bytes(&self) -> u64 {
        self.memory_limit_bytes.unwrap_or_else(default_memory_limit_bytes)
    }

    fn threads(&self) -> usize {
        let cores = || memory::threads_within(self.limit_bytes(), SessionConfig::new().target_partitions());
        self.threads.unwrap_or_else(cores).max(1)
    }
}

pub(super) fn runtime(options: &WarehouseOptions) -> Result<Arc<RuntimeEnv>, WarehouseError> {
    let limit = options.limit_bytes();
    memory::check_limit(limit, options.threads())?;
    let pool = QueryMemory::new(usize::try_from(limit).unwrap_or(usize::MAX));
    let mut builder = RuntimeEnvBuilder::new()
        .with_memory_pool(Arc::new(pool))
        .with_disk_manager_builder(DiskManagerBuilder::default())
        .with_object_list_cache_limit(0);
    if let Some(directory) = &options.spill_directory {
        builder = builder.with_temp_file_path(directory);
    }
    let runtime =
        builder.build_arc().map_err(|error| WarehouseError::from_engine("setting up the warehouse", &error))?;
    let spilling = Arc::downgrade(&runtime);
    storage::holds_temporary(move || {
        spilling.upgrade().map(|runtime| runtime.disk_manager.temp_dir_paths()).unwrap_or_default()
    });
    Ok(runtime)
}

/// A session without tables.
pub(super) fn session_state(options: &WarehouseOptions, runtime: &Arc<RuntimeEnv>) -> SessionState {
    let rows_at_once = memory::rows_at_once(options.limit_bytes(), options.threads());
    let mut config = SessionConfig::new()
        .with_information_schema(false)
        .with_target_partitions(options.threads())
        .with_batch_size(rows_at_once);
    let settings = config.options_mut();
    settings.execution.time_zone = Some("UTC".to_owned());
    settings.execution.listing_table_ignore_subdirectory = false;
    settings.execution.skip_partial_aggregation_probe_ratio_threshold = 0.4;
    settings.execution.skip_partial_aggregation_probe_rows_threshold = 20_000;
    settings.execution.sort_spill_reservation_bytes = spill_reservation_bytes(options);
    // A view of a string is accounted with the whole buffer it points into, so sorts of views run out of memory that
    // nobody uses.
    settings.execution.parquet.schema_force_view_types = false;
    settings.sql_parser.map_string_types_to_utf8view = false;
    // Nanoseconds end in 2262, and older writers know no other times than these.
    settings.execution.parquet.coerce_int96 = Some("us".to_owned());
    // Scans of ours filter rows where that pays, and the step above them in any case.
    settings.execution.parquet.pushdown_filters = false;
    settings.execution.parquet.reorder_filters = true;
    // A hash join keeps one side in memory and cannot spill; a sort-merge join can.
    settings.optimizer.prefer_hash_join = false;
    settings.sql_parser.collect_spans = true;
    let mut rules: Vec<Arc<dyn PhysicalOptimizerRule + Send + Sync>> = vec![Arc::new(first_copies::FirstCopies)];
    rules.extend(PhysicalOptimizer::new().rules);
    rules.push(Arc::new(one_pass::GroupOnce));
    let mut state = SessionStateBuilder::new()
        .with_config(config)
        .with_runtime_env(Arc::clone(runtime))
        .with_default_features()
        .with_physical_optimizer_rules(rules)
        .with_type_planner(Arc::new(type_names::TypeNames))
        .build();
    // Functions, operators and one rewrite of plans; none of them can be refused by a state.
    let _ = datafusion_functions_json::register_all(&mut state);
    for function in functions::all().into_iter().chain(calendar::functions()).chain([climb::tells(), alike::function()])
    {
        // Registering replaces a function of the same name and has no other way to fail.
        let _ = datafusion::execution::FunctionRegistry::register_udf(&mut state, function);
    }
    bounded::register(&mut state, options.limit_bytes() / 4 / options.threads() as u64);
    let ours = [distinct::count(), ordered_lists::array_agg()];
    for aggregate in streaks::functions().chain(climb::functions()).chain(null_sums::functions()).chain(ours) {
        let _ = datafusion::execution::FunctionRegistry::register_udaf(&mut state, aggregate);
    }
    state
}

/// What each sort keeps back for merging what it has spilled. A query holds several sorts per thread, and what all of
/// them keep back must leave room for rows.
fn spill_reservation_bytes(options: &WarehouseOptions) -> usize {
    usize::try_from(options.limit_bytes() / 256).unwrap_or(usize::MAX).clamp(64 * 1024, 10 * 1024 * 1024)
}

/// The same session with an empty catalog of its own; clones of a state share theirs.
pub(super) fn with_own_catalog(state: &SessionState) -> Result<SessionContext, DataFusionError> {
    let options = &state.config_options().catalog;
    let catalog = MemoryCatalogProvider::new();
    catalog.register_schema(&options.default_schema, Arc::new(MemorySchemaProvider::new()))?;
    let catalogs = MemoryCatalogProviderList::new();
    catalogs.register_catalog(options.default_catalog.clone(), Arc::new(catalog));
    let state = SessionStateBuilder::new_from_existing(state.clone()).with_catalog_list(Arc::new(catalogs)).build();
    Ok(SessionContext::new_with_state(state))
}

/// Adds a schema to the catalog of a session.
pub(super) fn add_schema(context: &SessionContext, name: &str) -> Result<(), DataFusionError> {
    let catalog = context.state().config_options().catalog.default_catalog.clone();
    match context.catalog(&catalog) {
        Some(catalog) => catalog.register_schema(name, Arc::new(MemorySchemaProvider::new())).map(|_| ()),
        None => Err(DataFusionError::Internal(format!("no catalog `{catalog}`"))),
    }
}

fn default_memory_limit_bytes() -> u64 {
    CONTROL_GROUP_LIMITS
        .iter()
        .filter_map(|path| std::fs::read_to_string(path).ok()?.trim().parse::<u64>().ok())
        // A control group without a limit states a number close to 2^63.
        .find(|limit| *limit < 1 << 50)
        .map_or(DEFAULT_MEMORY_LIMIT_BYTES, |limit| limit / 10 * 6)
}
