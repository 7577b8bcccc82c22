//! What provider accounts have given out, in memory.

use async_trait::async_trait;

use crate::clock::Clock;
use crate::ledger::allowance::{Ask, Granted, LedgerAllowances, grant};
use crate::ledger::{Lease, LedgerError, MemoryLedger};

#[async_trait]
impl LedgerAllowances for MemoryLedger {
    async fn allow(&self, lease: &Lease, ask: &Ask) -> Result<Granted, LedgerError> {
        let mut store = self.write(lease)?;
        let (given, granted) = grant(store.allowances.remove(&ask.provider), ask, Clock::System.now());
        store.allowances.insert(ask.provider.clone(), given);
        Ok(granted)
    }
}
