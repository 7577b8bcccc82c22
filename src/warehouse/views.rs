//! The views of `sql/`: parsed, inspected, and put in the order in which they build on each other.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

use datafusion::execution::SessionState;
use datafusion::sql::sqlparser::ast::{Query, TableFactor, Visit, Visitor};

use super::ledger_tables;
use super::statement::{Allowed, inspect, parse_query};
use crate::model::diagnostic::{Diagnostic, Located};
use crate::project::Project;

/// A view that passed inspection.
#[derive(Clone, Debug)]
pub(super) struct ParsedView {
    pub(super) name: String,
    pub(super) sql: Located<String>,
    pub(super) query: Query,
    /// Relations it reads.
    pub(super) relations: BTreeSet<String>,
    /// Parameters it uses.
    pub(super) parameters: BTreeSet<String>,
    /// It must not be read, but it plans: planning it once may find more.
    pub(super) flawed: bool,
}

/// Codes of findings with which a view is not planned.
const UNPLANNED: [&str; 4] = ["unknown-table", "unknown-table-function", "unknown-parameter", "sql-not-a-select"];

/// The views in order of dependence, and the names of those that are broken or build on something broken.
pub(super) fn arrange(
    project: &Project,
    state: &SessionState,
    parameters: &BTreeSet<String>,
    broken: &mut BTreeSet<String>,
) -> (Vec<ParsedView>, Vec<Diagnostic>) {
    let relations: BTreeSet<String> =
        project.tables.keys().chain(project.views.keys()).cloned().chain(ledger_tables::names()).collect();
    let allowed = Allowed { state, relations: &relations, parameters };
    let mut diagnostics = Vec::new();
    let mut parsed = BTreeMap::new();
    for view in project.views.values() {
        let findings = match parse_query(&view.sql) {
            Err(finding) => vec![finding],
            Ok(query) => {
                let (uses, findings) = inspect(&view.sql, &query, &allowed);
                let (name, sql) = (view.name.clone(), view.sql.clone());
                // What is wrong in other ways than these plans all the same, so its other mistakes can still be found.
                let plans = findings.iter().all(|finding| !UNPLANNED.contains(&finding.code));
                if !plans {
                    broken.insert(name.clone());
                }
                let flawed = !findings.is_empty();
                let (relations, parameters) = (uses.relations, uses.parameters);
                parsed.insert(name.clone(), ParsedView { name, sql, query, relations, parameters, flawed });
                findings
            }
        };
        if !parsed.contains_key(&view.name) {
            broken.insert(view.name.clone());
        }
        diagnostics.extend(findings);
    }
    diagnostics.extend(cycles(&parsed, broken));
    let mut ordered = in_order(parsed, broken);
    diagnostics.extend(refuse_large(&mut ordered, broken));
    (ordered, diagnostics)
}

/// A view that reads tables more often than this, once everything it names is written out, is refused: the engine would
/// plan for minutes.
const READS_MAX: u64 = 1_000;

/// A view that builds on more steps than this, one on another, is refused: planning takes time with their square, and
/// stack with their number.
const STEPS_MAX: u64 = 100;

/// The size of a query once everything it names is written out.
#[derive(Clone, Copy, Debug, Default)]
struct Size {
    /// How often it reads tables.
    reads: u64,
    /// The longest chain of views and common table expressions, itself included.
    steps: u64,
}

/// Refuses views that are too large once they are written out, and leaves out what builds on them.
fn refuse_large(views: &mut Vec<ParsedView>, broken: &mut BTreeSet<String>) -> Vec<Diagnostic> {
    let mut sizes: BTreeMap<String, Size> = BTreeMap::new();
    let mut findings = Vec::new();
    views.retain(|view| {
        if view.relations.iter().any(|name| broken.contains(name)) {
            broken.insert(view.name.clone());
            return false;
        }
        let size = size_of(&view.query, &mut sizes.clone());
        sizes.insert(view.name.clone(), size);
        let (message, help) = if size.reads > READS_MAX {
            (
                format!("reads tables {} times once everything it names is written out; {READS_MAX} times", size.reads),
                "name each view and each common table expression once or twice, or keep the step as a table",
            )
        } else if size.steps > STEPS_MAX {
            (
                format!("is the end of a chain of {} views and common table expressions; {STEPS_MAX}", size.steps),
                "join some of the steps, or keep one of them as a table",
            )
        } else {
            return true;
        };
        let message = format!("view `{}` {message} at most", view.name);
        findings.push(Diagnostic::error("view-too-large", message, &view.sql.place).with_help(help));
        broken.insert(view.name.clone());
        false
    });
    findings
}

/// The size of a query, given the sizes of what it names; common table expressions are added to those.
fn size_of<T: Visit>(tree: &T, sizes: &mut BTreeMap<String, Size>) -> Size {
    struct Sizes<'a> {
        named: &'a mut BTreeMap<String, Size>,
        whole: Size,
    }
    impl Visitor for Sizes<'_> {
        type Break = ();

        fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
            for table in query.with.iter().flat_map(|with| &with.cte_tables) {
                let Size { reads, steps } = size_of(&table.query, self.named);
                let name = table.alias.name.value.to_lowercase();
                self.named.insert(name, Size { reads: reads.max(1), steps });
            }
            ControlFlow::Continue(())
        }

        fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<()> {
            if let TableFactor::Table { name, .. } = factor {
                let name = name.0.last().and_then(|part| part.as_ident()).map(|part| part.value.to_lowercase());
                let size = name.and_then(|name| self.named.get(&name).copied()).unwrap_or(Size { reads: 1, steps: 0 });
                self.whole.reads = self.whole.reads.saturating_add(size.reads);
                self.whole.steps = self.whole.steps.max(size.steps + 1);
            }
            ControlFlow::Continue(())
        }
    }
    let mut counting = Sizes { named: sizes, whole: Size::default() };
    let _: ControlFlow<()> = tree.visit(&mut counting);
    counting.whole
}

/// One finding per cycle, at its first view by name.
fn cycles(views: &BTreeMap<String, ParsedView>, broken: &mut BTreeSet<String>) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    let mut reported: BTreeSet<&str> = BTreeSet::new();
    for view in views.values() {
        let Some(path) = path_back(view, views).filter(|_| !reported.contains(view.name.as_str())) else {
            continue;
        };
        reported.extend(&path);
        broken.extend(path.iter().map(|name| (*name).to_owned()));
        let round = format!("{} -> {}", path.join(" -> "), view.name);
        found.push(
            Diagnostic::error("view-cycle", format!("view `{}` builds on itself: {round}", view.name), &view.sql.place)
                .with_help("let one of them read a table instead"),
        );
    }
    found
}

/// The shortest way from a view back to itself.
fn path_back<'a>(from: &'a ParsedView, views: &'a BTreeMap<String, ParsedView>) -> Option<Vec<&'a str>> {
    let mut paths = vec![vec![from.name.as_str()]];
    let mut seen = BTreeSet::new();
    while !paths.is_empty() {
        let mut longer = Vec::new();
        for path in paths {
            let view = views.get(*path.last()?)?;
            for next in view.relations.iter().filter_map(|name| views.get(name)) {
                if next.name == from.name {
                    return Some(path);
                }
                if seen.insert(next.name.as_str()) {
                    longer.push(path.iter().copied().chain([next.name.as_str()]).collect());
                }
            }
        }
        paths = longer;
    }
    None
}

/// Views after everything they read; those that build on something broken are left out and marked.
fn in_order(mut views: BTreeMap<String, ParsedView>, broken: &mut BTreeSet<String>) -> Vec<ParsedView> {
    let mut ordered = Vec::new();
    loop {
        let poisoned: Vec<String> = views
            .values()
            .filter(|view| broken.contains(&view.name) || view.relations.iter().any(|name| broken.contains(name)))
            .map(|view| view.name.clone())
            .collect();
        for name in &poisoned {
            views.remove(name);
            broken.insert(name.clone());
        }
        let ready: Vec<String> = views
            .values()
            .filter(|view| !view.relations.iter().any(|name| views.contains_key(name)))
            .map(|view| view.name.clone())
            .collect();
        ordered.extend(ready.iter().filter_map(|name| views.remove(name)));
        if poisoned.is_empty() && ready.is_empty() {
            return ordered;
        }
    }
}
