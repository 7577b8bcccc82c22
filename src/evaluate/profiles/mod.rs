//! Whom an audience holds: a profile by its id, by its address, or by an id that is nearly the one asked for.

use super::error::EvaluateError;
use super::request::{Request, Tally};
use super::sql::{self, as_text, literal, name};
use super::{CompiledJob, PeriodChoice, Plan, parameters};
use crate::model::EmailAddress;
use crate::warehouse::{Session, Warehouse, value};
use jiff::Timestamp;

/// How many ids are told at most.
const TOLD_MAX: usize = 3;

impl CompiledJob {
    /// Whether the audience has a row of this profile.
    ///
    /// # Errors
    /// When the warehouse fails.
    pub async fn has_profile(
        &self,
        warehouse: &Warehouse,
        as_of: Timestamp,
        profile_id: &str,
    ) -> Result<bool, EvaluateError> {
        let found = self.ids_where(warehouse, as_of, (&as_text(&name("profile_id")), profile_id)).await?;
        Ok(!found.is_empty())
    }

    /// The profiles of the audience with this address, at most three.
    ///
    /// # Errors
    /// When the warehouse fails.
    pub async fn profiles_at(
        &self,
        warehouse: &Warehouse,
        as_of: Timestamp,
        address: &EmailAddress,
    ) -> Result<Vec<String>, EvaluateError> {
        self.ids_where(warehouse, as_of, ("normalised_address(\"email\")", &address.normalised())).await
    }

    /// The ids of the audience that need the fewest changes to become `asked`, at most three, with their numbers of
    /// changes.
    ///
    /// # Errors
    /// When the warehouse fails.
    pub async fn profiles_like(
        &self,
        warehouse: &Warehouse,
        as_of: Timestamp,
        asked: &str,
    ) -> Result<Vec<(u64, String)>, EvaluateError> {
        let request = Request { as_of, period: PeriodChoice::LatestDue, profiles: None };
        let Some(session) = self.audience_session(warehouse, &request).await? else { return Ok(Vec::new()) };
        let id = as_text(&name("profile_id"));
        let query = format!(
            "select distinct levenshtein(lower({id}), {}) as changes, {id} as id\nfrom {}\nwhere \"profile_id\" is not \
             null\norder by changes, id\nlimit {TOLD_MAX}",
            literal(&asked.to_lowercase()),
            name(self.audience.relation()),
        );
        let batches = session.rows("looking for ids of the audience", &query).await?;
        let rows = batches.iter().flat_map(|batch| (0..batch.num_rows()).map(move |row| (batch, row)));
        let found = rows.filter_map(|(batch, row)| {
            let changes = value::text(batch.column(0), row)?.parse().ok()?;
            Some((changes, value::text(batch.column(1), row)?))
        });
        Ok(found.collect())
    }

    async fn ids_where(
        &self,
        warehouse: &Warehouse,
        as_of: Timestamp,
        (expression, wanted): (&str, &str),
    ) -> Result<Vec<String>, EvaluateError> {
        let request = Request { as_of, period: PeriodChoice::LatestDue, profiles: Some(vec![wanted.to_owned()]) };
        let Some(session) = self.audience_session(warehouse, &request).await? else { return Ok(Vec::new()) };
        let id = as_text(&name("profile_id"));
        let query = format!(
            "select distinct {id} as id\nfrom {}\nwhere \"profile_id\" is not null and {expression} in (${})\norder by \
             id\nlimit {TOLD_MAX}",
            name(self.audience.relation()),
            sql::PROFILES,
        );
        let batches = session.rows("looking for a profile of the audience", &query).await?;
        let rows = batches.iter().flat_map(|batch| (0..batch.num_rows()).map(move |row| (batch, row)));
        Ok(rows.filter_map(|(batch, row)| value::text(batch.column(0), row)).collect())
    }

    /// A session that reads the audience; `None` where no period of a recap is due for anybody.
    pub(super) async fn audience_session(
        &self,
        warehouse: &Warehouse,
        request: &Request,
    ) -> Result<Option<Session>, EvaluateError> {
        match &self.plan {
            Plan::Milestones(_) => Ok(Some(warehouse.bind(&parameters(request)).await?)),
            Plan::Recap(recap) => {
                let slots = recap.slots(&self.audience, warehouse, request, &mut Tally::default()).await?;
                match slots.last() {
                    Some(slot) => Ok(Some(recap.session(warehouse, request, slot).await?)),
                    None => Ok(None),
                }
            }
        }
    }
}
