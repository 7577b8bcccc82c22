//! Corrections by people, in memory.

use async_trait::async_trait;

use super::MemoryLedger;
use crate::ledger::corrections::{Correction, CorrectionRow, LedgerCorrections, refusal};
use crate::ledger::{LedgerError, transition};

#[async_trait]
impl LedgerCorrections for MemoryLedger {
    async fn correct(&self, delivery_ids: &[String], correction: &Correction) -> Result<(), LedgerError> {
        let mut store = self.store();
        let mut seen = std::collections::HashSet::new();
        for delivery_id in delivery_ids {
            let place = store.by_delivery_id.get(delivery_id);
            let state = place.map(|place| store.deliveries[place].row.state);
            if let Some((job, _)) = place.filter(|(job, _)| store.jobs.get(job).is_some_and(|job| job.holder.is_some()))
            {
                return Err(LedgerError::Held { job: job.clone() });
            }
            let legal = transition::may_correct(correction.from, correction.to);
            if !legal || state != Some(correction.from) || !seen.insert(delivery_id) {
                return Err(refusal(delivery_id, state.map(crate::model::DeliveryState::name), correction));
            }
        }
        for delivery_id in delivery_ids {
            let place = store.by_delivery_id[delivery_id].clone();
            let row = &mut store.deliveries.get_mut(&place).expect("every id leads to its row").row;
            row.state = correction.to;
            row.reason = Some("corrected".to_owned());
            row.settled_at = Some(correction.at);
            row.updated_at = correction.at;
            let kept = CorrectionRow { delivery_id: delivery_id.clone(), correction: correction.clone() };
            store.corrections.push(kept);
        }
        Ok(())
    }

    async fn corrections(&self, delivery_id: &str) -> Result<Vec<CorrectionRow>, LedgerError> {
        let store = self.store();
        Ok(store.corrections.iter().filter(|row| row.delivery_id == delivery_id).cloned().collect())
    }
}
