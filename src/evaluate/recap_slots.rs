//! The periods of a request, once the zones of the audience are known.

use super::audience::Audience;
use super::error::EvaluateError;
use super::parameters;
use super::period::{Calendar, Slot};
use super::recap::RecapPlan;
use super::request::{PeriodChoice, Request, Tally};
use crate::warehouse::{Session, Warehouse, WarehouseError, value};

impl RecapPlan {
    /// What a request asks for, in the order in which it is evaluated.
    pub(super) async fn slots(
        &self,
        audience: &Audience,
        warehouse: &Warehouse,
        request: &Request,
        tally: &mut Tally,
    ) -> Result<Vec<Slot>, EvaluateError> {
        if !self.calendar.per_profile {
            return self.calendar.slots(request, &[]);
        }
        // Any period does: zones are the audience's, whatever its views make of a period.
        let trial = self.calendar.any().map(|slot| self.parameters(&slot, request.as_of)).unwrap_or_default();
        let session = warehouse.bind(&parameters(request).and(&trial)).await?;
        // A rank is among everybody, so everybody's zones are needed.
        let sql = Self::zones_sql(audience, request.profiles.is_some() && !self.has_rank());
        let batches = session.rows("the zones of the audience", &sql).await?;
        let mut zones: Vec<(String, u64)> = Vec::new();
        for batch in &batches {
            for row in 0..batch.num_rows() {
                let rows = value::text(batch.column(1), row).and_then(|rows| rows.parse().ok()).unwrap_or(0);
                zones.extend(value::text(batch.column(0), row).map(|zone| (zone, rows)));
            }
        }
        zones.sort();
        let unknown = zones.iter().filter(|(zone, _)| Calendar::named_zone(zone).is_none());
        tally.unknown_zones += unknown.map(|(_, rows)| rows).sum::<u64>();
        let texts: Vec<String> = zones.iter().map(|(zone, _)| zone.clone()).collect();
        let slots = self.calendar.slots(request, &texts)?;
        if matches!(request.period, PeriodChoice::Key(_)) {
            let undue = zones
                .iter()
                .filter(|(zone, _)| slots.iter().all(|slot| slot.zones.get(zone).copied().flatten().is_none()));
            tally.not_yet_due += undue.map(|(_, rows)| rows).sum::<u64>();
        }
        Ok(slots)
    }

    /// True when any metric is ranked among all entities.
    pub(super) fn has_rank(&self) -> bool {
        self.metrics.iter().any(|metric| metric.rank)
    }

    /// A session with everything that the queries of a slot name.
    pub(super) async fn session(
        &self,
        warehouse: &Warehouse,
        request: &Request,
        slot: &Slot,
    ) -> Result<Session, EvaluateError> {
        self.with_calendar(warehouse.bind(&parameters(request).and(&self.parameters(slot, request.as_of))).await?, slot)
    }

    /// A session with the calendar of a slot.
    pub(super) fn with_calendar(&self, session: Session, slot: &Slot) -> Result<Session, EvaluateError> {
        let tables = self.calendar_tables(slot).map_err(|error| WarehouseError::Query {
            what: "the calendar of the recap".to_owned(),
            reason: error.to_string(),
        })?;
        for (name, rows) in tables {
            session.add_table(name, rows)?;
        }
        Ok(session)
    }
}
