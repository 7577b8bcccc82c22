//! Ids of events and of the audience that never meet: other types, leading zeros, another source.

use crate::evaluate::error::EvaluateError;
use crate::evaluate::request::Request;
use crate::evaluate::sql::{as_text, name};
use crate::evaluate::{CompiledJob, parameters};
use crate::warehouse::{Session, Warehouse, value};

/// So many ids of each side are told.
const SAMPLE: usize = 3;

impl CompiledJob {
    /// A few ids of the subjects of the events and of the audience, where no one is among both; `None` where one is.
    /// Reads both whole, so it is asked only once a run found nobody.
    ///
    /// # Errors
    /// When the warehouse fails.
    pub async fn strangers(
        &self,
        warehouse: &Warehouse,
        request: &Request,
    ) -> Result<Option<(Vec<String>, Vec<String>)>, EvaluateError> {
        let session = match self.last_period_end(request)? {
            Some(_) => return self.strangers_of_recap(warehouse, request).await,
            None => warehouse.bind(&parameters(request)).await?,
        };
        self.strangers_in(&session).await
    }

    async fn strangers_of_recap(
        &self,
        warehouse: &Warehouse,
        request: &Request,
    ) -> Result<Option<(Vec<String>, Vec<String>)>, EvaluateError> {
        let recap = self.recap("recap")?;
        let slots = recap.slots(&self.audience, warehouse, request, &mut super::super::Tally::default()).await?;
        let Some(slot) = slots.last() else { return Ok(None) };
        self.strangers_in(&recap.session(warehouse, request, slot).await?).await
    }

    async fn strangers_in(&self, session: &Session) -> Result<Option<(Vec<String>, Vec<String>)>, EvaluateError> {
        let entities = self.audiences();
        let Some(audience) = entities.first() else { return Ok(None) };
        let key = audience.entity.as_deref().unwrap_or("profile_id");
        let audience = format!("select distinct {} as id from {}", as_text(&name(key)), name(audience.relation()));
        let mut samples = Vec::new();
        for (relation, subject) in self.event_relations() {
            let events = format!("select distinct {} as id from {}", as_text(&name(subject)), name(relation));
            let met = format!("select e.id as id from ({events}) as e join ({audience}) as a on e.id = a.id limit 1");
            if !texts(session, &met).await?.is_empty() {
                return Ok(None);
            }
            if samples.is_empty() {
                samples = texts(session, &sample(&events)).await?;
            }
        }
        Ok(Some((samples, texts(session, &sample(&audience)).await?)))
    }
}

fn sample(ids: &str) -> String {
    format!("select id from ({ids}) as ids where id is not null order by id limit {SAMPLE}")
}

async fn texts(session: &Session, sql: &str) -> Result<Vec<String>, EvaluateError> {
    let batches = session.rows("comparing the ids of events and audience", sql).await?;
    let rows = batches.iter().flat_map(|batch| (0..batch.num_rows()).map(move |row| (batch, row)));
    Ok(rows.filter_map(|(batch, row)| value::text(batch.column(0), row)).collect())
}
