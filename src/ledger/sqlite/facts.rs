//! What stands against mailing the recipients of a chunk: suppressions, others with their address, recent dispatches.

use jiff::Timestamp;
use sqlx::{QueryBuilder, Row, Sqlite, SqliteConnection};

use super::decisions::{lookup, with_names};
use super::{SqliteLedger, portions, stored};
use crate::ledger::{Answers, InForce, Inquiry, Lease, LedgerError, Recipient, RecipientFacts};
use crate::model::{DeliveryState, SuppressionReason};

pub(super) async fn recorded(ledger: &SqliteLedger, lease: &Lease, inquiry: &Inquiry) -> Result<Answers, LedgerError> {
    let mut reader = ledger.reader.lock().await;
    let recorded = lookup(ledger, &mut reader, lease, &inquiry.keys).await?;
    let mut recipients = vec![RecipientFacts::default(); inquiry.recipients.len()];
    let mut rest = recipients.as_mut_slice();
    for asked in portions(&inquiry.recipients) {
        let (facts, after) = rest.split_at_mut(asked.len());
        rest = after;
        add_suppressions(ledger, &mut reader, asked, facts).await?;
        add_taken_addresses(ledger, &mut reader, lease, (asked, facts)).await?;
        if let Some(since) = inquiry.dispatched_since {
            add_dispatches(ledger, &mut reader, since, (asked, facts)).await?;
        }
    }
    Ok(Answers { recorded, recipients })
}

/// A place in a chunk as it is bound and read.
fn place_of(row: &sqlx::sqlite::SqliteRow) -> Result<usize, sqlx::Error> {
    Ok(usize::try_from(row.try_get::<i64, _>(0)?).expect("places count from 0"))
}

fn bound(place: usize) -> i64 {
    i64::try_from(place).expect("a chunk is small")
}

async fn add_suppressions(
    ledger: &SqliteLedger,
    connection: &mut SqliteConnection,
    asked: &[Recipient],
    facts: &mut [RecipientFacts],
) -> Result<(), LedgerError> {
    let said = |error: sqlx::Error| ledger.said(&error);
    let mut query = QueryBuilder::<Sqlite>::new("with wanted (place, profile_id, erased, address_hash) as (");
    query.push_values(asked.iter().enumerate(), |mut row, (place, recipient)| {
        row.push_bind(bound(place));
        row.push_bind(ledger.identity.stored_profile_id(&recipient.key.profile_id));
        row.push_bind(ledger.identity.erased_profile_id(&recipient.key.profile_id));
        row.push_bind(&recipient.address_hash);
    });
    // Cross joins fix the order: each subject is a range of the primary key.
    query.push(
        "), subjects (place, kind, subject) as (
            select place, 'profile', profile_id from wanted
            union all select place, 'profile', erased from wanted where erased <> profile_id
            union all select place, 'address', address_hash from wanted where address_hash is not null
        )
        select subjects.place, suppressions.reason, suppressions.job
        from subjects cross join suppressions
        where suppressions.kind = subjects.kind and suppressions.subject = subjects.subject and lifted_at is null
        order by 1, 2, 3",
    );
    for row in query.build().fetch_all(connection).await.map_err(said)? {
        let reason: &str = row.try_get(1).map_err(said)?;
        let reason = SuppressionReason::from_name(reason)
            .ok_or_else(|| ledger.unavailable(format!("it has a suppression `{reason}`, which does not exist")))?;
        let job: String = row.try_get(2).map_err(said)?;
        let found = InForce { reason, job: Some(job).filter(|job| !job.is_empty()) };
        facts[place_of(&row).map_err(said)?].suppressions.push(found);
    }
    Ok(())
}

async fn add_taken_addresses(
    ledger: &SqliteLedger,
    connection: &mut SqliteConnection,
    lease: &Lease,
    (asked, facts): (&[Recipient], &mut [RecipientFacts]),
) -> Result<(), LedgerError> {
    let with_address: Vec<(usize, &Recipient, &String)> = asked
        .iter()
        .enumerate()
        .filter_map(|(place, recipient)| Some((place, recipient, recipient.address_hash.as_ref()?)))
        .collect();
    if with_address.is_empty() {
        return Ok(());
    }
    let said = |error: sqlx::Error| ledger.said(&error);
    let mut query = with_names(lease);
    query.push(", wanted (place, profile_id, occasion, address_hash) as (");
    query.push_values(with_address, |mut row, (place, recipient, address_hash)| {
        let key = ledger.identity.stored_key(&recipient.key);
        row.push_bind(bound(place)).push_bind(key.profile_id).push_bind(key.occasion).push_bind(address_hash);
    });
    query.push(
        ") select distinct wanted.place
        from wanted cross join deliveries
        where substr(deliveries.address_hash, 1, 6) = substr(wanted.address_hash, 1, 6)
            and deliveries.address_hash = wanted.address_hash
            and deliveries.occasion = wanted.occasion
            and deliveries.profile_id <> wanted.profile_id
            and deliveries.job in (select job from names)
            and deliveries.state in (",
    );
    query.push(crate::ledger::transition::sql_list(DeliveryState::takes_address)).push(")");
    for row in query.build().persistent(false).fetch_all(connection).await.map_err(said)? {
        facts[place_of(&row).map_err(said)?].address_taken = true;
    }
    Ok(())
}

async fn add_dispatches(
    ledger: &SqliteLedger,
    connection: &mut SqliteConnection,
    since: Timestamp,
    (asked, facts): (&[Recipient], &mut [RecipientFacts]),
) -> Result<(), LedgerError> {
    let said = |error: sqlx::Error| ledger.said(&error);
    let mut query = QueryBuilder::<Sqlite>::new("with wanted (place, profile_id) as (");
    query.push_values(asked.iter().enumerate(), |mut row, (place, recipient)| {
        row.push_bind(bound(place)).push_bind(ledger.identity.stored_profile_id(&recipient.key.profile_id));
    });
    // Cross joins fix the order: each profile is one range of the unique index for each job.
    query.push(
        ") select wanted.place, deliveries.dispatched_at
        from wanted cross join jobs cross join deliveries
        where jobs.category = 'marketing'
            and deliveries.job = jobs.job
            and deliveries.profile_id = wanted.profile_id
            and deliveries.dispatched_at > ",
    );
    query.push_bind(stored(since)).push(" and deliveries.state in (");
    query.push(crate::ledger::transition::sql_list(DeliveryState::counts_for_caps)).push(") order by 1, 2");
    for row in query.build().fetch_all(connection).await.map_err(said)? {
        let instant = ledger.instant(row.try_get(1).map_err(said)?)?;
        facts[place_of(&row).map_err(said)?].dispatched.push(instant);
    }
    Ok(())
}
