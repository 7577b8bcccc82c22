//! The keys of `milepost.yml` and `jobs/*.yml`: the one list behind reading, unknown-key findings and suggestions.

use jiff::SignedDuration;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use super::health::{HealthSeverity, NullShare, RowsBound, RowsPer};
use super::job::{Category, Compare, Measure, OnUnknown, RecapZone, SendLevels, Trend};
use super::overlay::{Defaults, Environments};
use super::project::{ColumnKind, PartitionKind, PartitionOf, PathDates, SegmentLayout, SegmentRows};
use super::read::{Named, Scalar, record};
use super::restraint::{Share, WindowZone};
use super::restraint_values::{Days, Hours};
use super::secrets::{LedgerText, ProviderText};
use super::values::{EntityChoice, Ladder, StartChoice};
use crate::model::Mailbox;
use crate::model::diagnostic::Located;
use crate::model::number::Level;
use crate::model::period::{PeriodKind, WeekStart};

record! {
    /// `milepost.yml`, and each of its environments.
    ProjectFields {
        /// Part of every delivery's identity; never change it.
        project: String,
        /// The zone of periods unless a job says otherwise; UTC by default.
        timezone: TimeZone,
        /// `sqlite:PATH`, `postgres://...`, `env:NAME` or `file:PATH`; `sqlite:.milepost/ledger.db` by default.
        ledger: LedgerText,
        /// `monday` (default) or `sunday`.
        week_starts: WeekStart,
        /// The tables that SQL and jobs may name.
        tables: Named<Located<TableFields>>,
        /// The email providers that jobs may name.
        providers: Named<ProviderText>,
        /// Any field of a job, for jobs that do not say.
        defaults: Defaults,
        /// How a recipient leaves.
        unsubscribe: UnsubscribeFields,
        /// A table or view of addresses and profiles that must not be mailed.
        suppressed: String,
        /// The most marketing mails to one profile within a time, across jobs.
        caps: Vec<Located<CapFields>>,
        /// Values for `$name` in SQL and `{{ vars.name }}` in templates.
        vars: Named<Scalar>,
        /// Every mail goes to this address instead.
        redirect_to: Mailbox,
        /// The most mails a run may redirect; 20 by default.
        redirect_limit: u64,
        /// Overlays chosen by `--env` or `MILEPOST_ENV`.
        environments: Environments,
    }
}

record! {
    /// One table.
    TableFields {
        /// A file, folder or glob of Parquet files.
        parquet: String,
        /// A file, folder or glob of CSV files with a header line.
        csv: String,
        /// A file, folder or glob of files with one JSON object per line.
        ndjson: String,
        /// The folder of a Delta Lake table.
        delta: String,
        /// Calls that Segment or RudderStack collected.
        segment: SegmentFields,
        /// A table of a PostgreSQL server.
        postgres: PostgresFields,
        /// A table of a SQLite file.
        sqlite: SqliteFields,
        /// `key=value` folders in path order.
        partitions: Named<Located<PartitionFields>>,
        /// How bare folders spell dates, such as `%Y/%m/%d/%H`; the partitions are made from them.
        path_dates: PathDates,
        /// The types of columns whose files do not agree or do not say.
        columns: Named<Located<ColumnKind>>,
        /// When it happened: chronology, periods, `reached_at`.
        time: String,
        /// When it landed: pruning.
        received: String,
        /// Duplicates by this column count once.
        dedup: String,
        /// The zone of timestamps without one; UTC by default.
        zone: TimeZone,
        /// How late an event may land; `3 days` by default.
        lookback: SignedDuration,
        /// What its rows must be like before anybody is mailed from them.
        health: HealthFields,
    }
}

record! {
    /// What the rows of a table must be like before anybody is mailed from them.
    HealthFields {
        /// The newest row is no older than this at `as_of`, such as `36 hours`.
        fresh: SignedDuration,
        /// How many rows the last whole day has.
        rows: HealthRowsFields,
        /// The greatest share of nulls of a column on the last whole day, such as `2%`.
        nulls: Named<Located<NullShare>>,
        /// SQL conditions of aggregates that hold over the last whole day, such as `avg(amount) < 500`.
        sql: Vec<Located<String>>,
        /// `refuse` (default) or `warn`: what a failed check of this table does.
        severity: HealthSeverity,
    }
}

record! {
    /// How many rows a day has.
    HealthRowsFields {
        /// `day`.
        per: RowsPer,
        /// The fewest: a number, or a share of the usual such as `50% of usual`.
        min: RowsBound,
        /// The most: a number, or a share of the usual such as `200% of usual`.
        max: RowsBound,
    }
}

record! {
    /// Calls that Segment or RudderStack collected.
    SegmentFields {
        /// The folder of one source: below it are days of logs, or a folder for each table.
        location: String,
        /// `s3_logs`, `data_lake` or `warehouse`.
        layout: SegmentLayout,
        /// `events` (default) or `profiles`.
        gives: SegmentRows,
    }
}

record! {
    /// A table of a PostgreSQL server; it is only read.
    PostgresFields {
        /// `env:NAME` or `file:PATH`: where `postgres://ACCOUNT:PASSWORD@HOST:PORT/DATABASE` stands.
        url: String,
        /// `TABLE` or `SCHEMA.TABLE`; a view will do.
        table: String,
    }
}

record! {
    /// A table of a SQLite file; it is only read.
    SqliteFields {
        /// The file.
        file: String,
        /// The table or view.
        table: String,
    }
}

record! {
    /// One partition folder.
    PartitionFields {
        /// How its values read.
        kind as "type": PartitionKind,
        /// What may be pruned by it.
        of: PartitionOf,
        /// The zone its dates are in; UTC by default.
        zone: TimeZone,
    }
}

record! {
    /// How a recipient leaves.
    UnsubscribeFields {
        /// A liquid template of an https URL.
        url: String,
    }
}

record! {
    /// One job.
    JobFields {
        /// Identity in the ledger; never change it.
        job: String,
        /// Earlier names whose deliveries count as this job's.
        aliases: Vec<Located<String>>,
        /// What it is for.
        description: String,
        /// Who answers for it.
        owner: String,
        /// For selecting jobs.
        tags: Vec<String>,
        /// `from_now`, `all` or `{since: DAY}`.
        start: StartChoice,
        /// The table or view of profiles it may mail.
        audience: String,
        /// `marketing` (default) or `transactional`.
        category: Category,
        /// Which provider takes its mails.
        provider: String,
        /// The sender.
        sender: Mailbox,
        /// Where answers go.
        reply_to: Mailbox,
        /// Shown in marketing mail.
        postal_address: String,
        /// Named thresholds.
        milestones: Vec<Located<MilestoneFields>>,
        /// A metric matrix per period.
        recap: RecapFields,
        /// What is mailed.
        message: MessageFields,
        /// A folder or URL to which every run writes the flags or the matrix as Parquet.
        publish: String,
        /// Later than this after `reached_at` is expired.
        mail_within: SignedDuration,
        /// Volume guards.
        limits: LimitsFields,
        /// `hold` (default), `resend` or `assume_accepted`.
        on_unknown: OnUnknown,
        /// Higher runs earlier; 0 by default.
        priority: i64,
        /// The share of profiles that is not mailed, so that lift can be measured, such as `5%`.
        holdout: Share,
        /// When its mail may leave.
        window: WindowFields,
        /// Ways to write the message, compared with each other.
        variants: Vec<Located<VariantFields>>,
    }
}

record! {
    /// The most marketing mails to one profile within a time.
    CapFields {
        /// How many, at least 1.
        max: u64,
        /// Within which time, such as `7 days`.
        per: SignedDuration,
    }
}

record! {
    /// When mail may leave.
    WindowFields {
        /// From one time of the day to another, such as `09:00-18:00`.
        hours: Hours,
        /// `mon-fri`, or a list of days; every day by default.
        days: Days,
        /// `profile` (default) or `project`: whose clock.
        zone: WindowZone,
    }
}

record! {
    /// One way to write a message.
    VariantFields {
        /// Recorded with each delivery.
        name: String,
        /// Its share among the others; 1 by default.
        weight: Level,
        /// Instead of the message's.
        subject: String,
        /// Instead of the message's.
        template: String,
        /// Instead of the message's.
        text: String,
        /// Instead of the message's.
        preheader: String,
        /// Instead of the message's.
        reply_to: Mailbox,
        /// Over the message's.
        headers: Named<Located<String>>,
    }
}

record! {
    /// `start: {since: DAY}`.
    SinceFields {
        /// The project's midnight of this day.
        since: Date,
    }
}

record! {
    /// Volume guards.
    LimitsFields {
        /// The most mails of a first run without `--confirm`; 1,000 by default.
        first_run: u64,
        /// The most mails of any run without `--confirm`.
        per_run: u64,
    }
}

record! {
    /// One milestone.
    MilestoneFields {
        /// Part of the occasion; never change it.
        name: String,
        /// Earlier names.
        aliases: Vec<Located<String>>,
        /// Table or view; `events` by default.
        from: String,
        /// Only rows whose event column holds this.
        event: String,
        /// The event column; `event` by default.
        event_column: String,
        /// A SQL predicate on the rows.
        filter as "where": String,
        /// The column that is the profile.
        profile: String,
        /// The time column, where `from` is a view.
        time: String,
        /// The duplicate column, where `from` is a view.
        dedup: String,
        /// `count(*)` (default), `count(distinct x)`, `sum(x)`, `max(x)`, `streak(day)` or `streak(week)`.
        measure: Measure,
        /// One level or ascending levels.
        reaches: Ladder,
        /// Every multiple of this number.
        every: Level,
        /// `highest` (default) or `each`.
        send: SendLevels,
        /// A nudge: the event that makes it pointless.
        without: String,
        /// A nudge: how long after the first `event`.
        after: SignedDuration,
        /// No event for this long.
        inactive: SignedDuration,
        /// Each year after the first event of this name.
        anniversary: String,
        /// What is measured; the profile by default.
        entity: EntityChoice,
        /// A SQL predicate over audience columns, `level` and `value`.
        only_if: String,
        /// What is mailed; each part defaults to the job's.
        message: MessageFields,
        /// Ways to write it, instead of the job's.
        variants: Vec<Located<VariantFields>>,
    }
}

record! {
    /// A recap.
    RecapFields {
        /// `day`, `week`, `month`, `quarter` or `year`.
        period: PeriodKind,
        /// `project` (default) or `profile`.
        zone: RecapZone,
        /// The wait after the end for late events; none by default.
        settle: SignedDuration,
        /// Table or view; `events` by default.
        from: String,
        /// A SQL predicate on the rows.
        filter as "where": String,
        /// The column that is the profile.
        profile: String,
        /// The time column, where `from` is a view.
        time: String,
        /// The duplicate column, where `from` is a view.
        dedup: String,
        /// What is measured; the profile by default.
        entity: EntityChoice,
        /// The audience column before which comparison periods are null.
        since: String,
        /// Earlier periods to compare with.
        compare: Vec<Located<Compare>>,
        /// A SQL predicate over the metrics.
        only_if: String,
        /// The metrics in order.
        metrics: Named<Located<MetricFields>>,
        /// A second dimension of the matrix.
        by: BreakdownFields,
        /// Lists of the greatest values of a column.
        top: Named<Located<TopListFields>>,
    }
}

record! {
    /// The second dimension of a recap.
    BreakdownFields {
        /// The column of the rows.
        column: String,
        /// Metrics of the recap; the first orders.
        metrics: Vec<Located<String>>,
        /// How many values have a row of their own; 10 by default. The others share the last row.
        top: u64,
    }
}

record! {
    /// A list of the greatest values of a column.
    TopListFields {
        /// The column of the rows.
        column: String,
        /// A SQL aggregate over the rows.
        sql: String,
        /// The most entries; 5 by default.
        limit: u64,
    }
}

record! {
    /// An entity with different names in the events and the audience.
    EntityFields {
        /// The column of the event rows.
        source: String,
        /// The column of the audience.
        audience: String,
    }
}

record! {
    /// One metric.
    MetricFields {
        /// What people read; the name with spaces by default.
        label: String,
        /// A SQL aggregate over the rows.
        sql: String,
        /// A number format such as `0.0`.
        format: String,
        /// `day`, `week` or `month`: one value for each that the period has a day of.
        trend: Trend,
        /// `true`: rank and percentile among all active entities.
        rank: bool,
        /// A number above 0 that is aimed at.
        goal: Level,
    }
}

record! {
    /// What is mailed.
    MessageFields {
        /// A liquid template of one line.
        subject: String,
        /// The `.mjml` or `.html` template.
        template: String,
        /// The text part's template; made from the HTML where absent.
        text: String,
        /// The line shown after the subject.
        preheader: String,
        /// Overrides the job's.
        reply_to: Mailbox,
        /// Further headers.
        headers: Named<Located<String>>,
    }
}
