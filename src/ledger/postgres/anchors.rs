//! What is recorded about streaks and silences, whatever their first day.

use super::values::Moment;
use super::{PostgresLedger, ROWS_PER_STATEMENT, names};
use crate::ledger::{AnchorStem, Anchored, Lease, LedgerError, Recorded};

pub(super) async fn anchored(
    ledger: &PostgresLedger,
    lease: &Lease,
    stems: &[AnchorStem],
) -> Result<Vec<Vec<Anchored>>, LedgerError> {
    // Collation "C" orders by bytes, and `A` follows `@`: the range holds every text that begins with the stem and `@`.
    // `offset 0` makes each stem one range of the index.
    let sql = "select wanted.place, found.occasion, found.reached_at, found.state, found.attempt
        from unnest($1::text[], $2::text[], $3::text[]) with ordinality as wanted (profile_id, first, beyond, place)
        cross join unnest($4::text[]) as names (job)
        cross join lateral (
            select occasion, reached_at, state, attempt from deliveries
            where deliveries.job = names.job
                and deliveries.profile_id = wanted.profile_id
                and deliveries.occasion >= wanted.first
                and deliveries.occasion < wanted.beyond
            offset 0
        ) as found
        order by wanted.place, found.occasion";
    let mut answers: Vec<Vec<Anchored>> = vec![Vec::new(); stems.len()];
    if stems.is_empty() {
        return Ok(answers);
    }
    let mut reader = ledger.reader.borrow().await?;
    for (chunk, answers) in stems.chunks(ROWS_PER_STATEMENT).zip(answers.chunks_mut(ROWS_PER_STATEMENT)) {
        let bound = |end: char| chunk.iter().map(|stem| format!("{}{end}", stem.occasion)).collect::<Vec<_>>();
        let profile_ids = chunk.iter().map(|stem| ledger.identity.stored_profile_id(&stem.profile_id));
        let rows: Vec<(i64, String, Moment, String, i32)> = sqlx::query_as(sql)
            .bind(profile_ids.collect::<Vec<_>>())
            .bind(bound('@'))
            .bind(bound('A'))
            .bind(names(&lease.job, &lease.aliases))
            .fetch_all(&mut *reader)
            .await
            .map_err(|error| ledger.said(&error))?;
        for (place, occasion, reached_at, state, attempt) in rows {
            let place = usize::try_from(place).expect("places count from 1") - 1;
            let recorded = Recorded::new(ledger.state(&state)?, attempt.unsigned_abs());
            answers[place].push(Anchored { occasion, reached_at: reached_at.0, recorded });
        }
    }
    reader.give_back();
    Ok(answers)
}
