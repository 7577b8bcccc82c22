//! What is recorded about streaks and silences, whatever their first day.

use sqlx::Row;

use super::decisions::with_names;
use super::{SqliteLedger, portions};
use crate::ledger::{AnchorStem, Anchored, Lease, LedgerError, Recorded};

pub(super) async fn anchored(
    ledger: &SqliteLedger,
    lease: &Lease,
    stems: &[AnchorStem],
) -> Result<Vec<Vec<Anchored>>, LedgerError> {
    let mut answers: Vec<Vec<Anchored>> = vec![Vec::new(); stems.len()];
    if stems.is_empty() {
        return Ok(answers);
    }
    let mut reader = ledger.reader.lock().await;
    let mut rest = answers.as_mut_slice();
    for chunk in portions(stems) {
        let (answers, after) = rest.split_at_mut(chunk.len());
        rest = after;
        let mut query = with_names(lease);
        query.push(", wanted (place, profile_id, first, beyond) as (");
        query.push_values(chunk.iter().enumerate(), |mut row, (place, stem)| {
            row.push_bind(i64::try_from(place).expect("a chunk is small"));
            row.push_bind(ledger.identity.stored_profile_id(&stem.profile_id));
            // `A` follows `@`, so the range holds every text that begins with the stem and `@`.
            row.push_bind(format!("{}@", stem.occasion)).push_bind(format!("{}A", stem.occasion));
        });
        // Cross joins fix the order: each stem is one range of the unique index.
        query.push(
            ") select wanted.place, deliveries.occasion, deliveries.reached_at, deliveries.state, deliveries.attempt
            from wanted cross join names cross join deliveries
            where deliveries.job = names.job
                and deliveries.profile_id = wanted.profile_id
                and deliveries.occasion >= wanted.first
                and deliveries.occasion < wanted.beyond
            order by wanted.place, deliveries.occasion",
        );
        let said = |error: sqlx::Error| ledger.said(&error);
        for row in query.build().fetch_all(&mut *reader).await.map_err(said)? {
            let place = usize::try_from(row.try_get::<i64, _>(0).map_err(said)?).expect("places count from 0");
            answers[place].push(Anchored {
                occasion: row.try_get(1).map_err(said)?,
                reached_at: ledger.instant(row.try_get(2).map_err(said)?)?,
                recorded: Recorded::new(
                    ledger.state(row.try_get(3).map_err(said)?)?,
                    row.try_get::<u32, _>(4).map_err(said)?,
                ),
            });
        }
    }
    Ok(answers)
}
