//! What stands against mailing the recipients of a chunk: suppressions, others with their address, recent dispatches.

use std::sync::LazyLock;

use jiff::Timestamp;
use sqlx::{AssertSqlSafe, PgConnection};

use super::decisions::lookup;
use super::values::Moment;
use super::{PostgresLedger, ROWS_PER_STATEMENT, names};
use crate::ledger::{Answers, InForce, Inquiry, Lease, LedgerError, Recipient, RecipientFacts, transition};
use crate::model::{DeliveryState, SuppressionReason};

pub(super) async fn recorded(
    ledger: &PostgresLedger,
    lease: &Lease,
    inquiry: &Inquiry,
) -> Result<Answers, LedgerError> {
    let mut reader = ledger.reader.borrow().await?;
    let recorded = lookup(ledger, &mut reader, lease, &inquiry.keys).await?;
    let mut recipients = vec![RecipientFacts::default(); inquiry.recipients.len()];
    let chunks = inquiry.recipients.chunks(ROWS_PER_STATEMENT).zip(recipients.chunks_mut(ROWS_PER_STATEMENT));
    for (asked, facts) in chunks {
        add_suppressions(ledger, &mut reader, asked, facts).await?;
        let taken = add_taken_addresses(ledger, &mut reader, lease, (asked, facts)).await;
        taken.map_err(|error| ledger.said(&error))?;
        if let Some(since) = inquiry.dispatched_since {
            let dispatched = add_dispatches(ledger, &mut reader, since, (asked, facts)).await;
            dispatched.map_err(|error| ledger.said(&error))?;
        }
    }
    reader.give_back();
    Ok(Answers { recorded, recipients })
}

/// A place in a chunk: `with ordinality` counts from 1.
fn index(place: i64) -> usize {
    usize::try_from(place).expect("places count from 1") - 1
}

async fn add_suppressions(
    ledger: &PostgresLedger,
    connection: &mut PgConnection,
    asked: &[Recipient],
    facts: &mut [RecipientFacts],
) -> Result<(), LedgerError> {
    // `offset 0` makes each subject a range of the primary key.
    let sql = "with wanted as (
            select * from unnest($1::text[], $2::text[], $3::text[]) with ordinality
                as wanted (profile_id, erased, address_hash, place)
        ), subjects (place, kind, subject) as (
            select place, 'profile', profile_id from wanted
            union all select place, 'profile', erased from wanted where erased <> profile_id
            union all select place, 'address', address_hash from wanted where address_hash is not null
        )
        select subjects.place, found.reason, found.job
        from subjects cross join lateral (
            select reason, job from suppressions
            where suppressions.kind = subjects.kind and suppressions.subject = subjects.subject and lifted_at is null
            offset 0
        ) as found
        order by 1, 2, 3";
    let ids = || asked.iter().map(|recipient| recipient.key.profile_id.as_str());
    let rows: Vec<(i64, String, String)> = sqlx::query_as(sql)
        .bind(ids().map(|id| ledger.identity.stored_profile_id(id)).collect::<Vec<_>>())
        .bind(ids().map(|id| ledger.identity.erased_profile_id(id)).collect::<Vec<_>>())
        .bind(asked.iter().map(|recipient| recipient.address_hash.as_ref()).collect::<Vec<_>>())
        .fetch_all(connection)
        .await
        .map_err(|error| ledger.said(&error))?;
    for (place, reason, job) in rows {
        let reason = SuppressionReason::from_name(&reason)
            .ok_or_else(|| ledger.unavailable(format!("it has a suppression `{reason}`, which does not exist")))?;
        facts[index(place)].suppressions.push(InForce { reason, job: Some(job).filter(|job| !job.is_empty()) });
    }
    Ok(())
}

async fn add_taken_addresses(
    ledger: &PostgresLedger,
    connection: &mut PgConnection,
    lease: &Lease,
    (asked, facts): (&[Recipient], &mut [RecipientFacts]),
) -> Result<(), sqlx::Error> {
    static SQL: LazyLock<String> = LazyLock::new(|| {
        let taking = transition::sql_list(DeliveryState::takes_address);
        format!(
            "select wanted.place
            from unnest($1::text[], $2::text[], $3::text[]) with ordinality
                as wanted (profile_id, occasion, address_hash, place)
            cross join lateral (
                select 1 from deliveries
                where substr(deliveries.address_hash, 1, 10) = substr(wanted.address_hash, 1, 10)
                    and deliveries.address_hash = wanted.address_hash
                    and deliveries.occasion = wanted.occasion
                    and deliveries.profile_id <> wanted.profile_id
                    and deliveries.job = any($4)
                    and deliveries.state in ({taking})
                limit 1
            ) as found
            where wanted.address_hash is not null"
        )
    });
    let keys = asked.iter().map(|recipient| ledger.identity.stored_key(&recipient.key));
    let (profile_ids, occasions): (Vec<String>, Vec<String>) = keys.map(|key| (key.profile_id, key.occasion)).unzip();
    let places: Vec<i64> = sqlx::query_scalar(AssertSqlSafe(SQL.as_str()))
        .bind(profile_ids)
        .bind(occasions)
        .bind(asked.iter().map(|recipient| recipient.address_hash.as_ref()).collect::<Vec<_>>())
        .bind(names(&lease.job, &lease.aliases))
        .fetch_all(connection)
        .await?;
    for place in places {
        facts[index(place)].address_taken = true;
    }
    Ok(())
}

async fn add_dispatches(
    ledger: &PostgresLedger,
    connection: &mut PgConnection,
    since: Timestamp,
    (asked, facts): (&[Recipient], &mut [RecipientFacts]),
) -> Result<(), sqlx::Error> {
    static SQL: LazyLock<String> = LazyLock::new(|| {
        let counting = transition::sql_list(DeliveryState::counts_for_caps);
        format!(
            "select wanted.place, found.dispatched_at
            from unnest($1::text[]) with ordinality as wanted (profile_id, place)
            cross join (select job from jobs where category = 'marketing') as marketing
            cross join lateral (
                select dispatched_at from deliveries
                where deliveries.job = marketing.job
                    and deliveries.profile_id = wanted.profile_id
                    and deliveries.dispatched_at > $2
                    and deliveries.state in ({counting})
                offset 0
            ) as found
            order by 1, 2"
        )
    });
    let ids = asked.iter().map(|recipient| ledger.identity.stored_profile_id(&recipient.key.profile_id));
    let rows: Vec<(i64, Moment)> = sqlx::query_as(AssertSqlSafe(SQL.as_str()))
        .bind(ids.collect::<Vec<_>>())
        .bind(Moment(since))
        .fetch_all(connection)
        .await?;
    for (place, instant) in rows {
        facts[index(place)].dispatched.push(instant.0);
    }
    Ok(())
}
