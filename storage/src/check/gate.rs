//! The books of gates: what is recorded of those who wait and of permits, and what there is.

use std::collections::BTreeMap;

use crate::{
    check::CheckReport,
    codec::CodecError,
    key::decode::DecodedKey,
    record::gate::{
        EntryRecord, GateMeta, GatePolicyRecord, GateUsage, GateWaits, StoredEntryState,
    },
};

/// What is known of a gate from its own record and from its places.
#[derive(Debug, Default)]
struct GateAccount {
    meta: GateMeta,
    waiting_count: u64,
    held_count: u64,
    arrivals: BTreeMap<u64, String>,
}

/// The accounts of all gates.
#[derive(Debug, Default)]
pub(crate) struct GateChecks(BTreeMap<String, GateAccount>);

impl GateChecks {
    /// Enters a record if it is a gate's.
    pub(crate) fn enter(
        &mut self,
        meaning: DecodedKey<'_>,
        value: &[u8],
        report: &mut CheckReport,
    ) -> Result<(), CodecError> {
        match meaning {
            DecodedKey::GateMeta(gate) => {
                report.gate_count += 1;
                self.account(gate).meta = GateMeta::decode(value)?;
            }
            DecodedKey::GatePlace(gate, owner) => {
                let place = EntryRecord::decode(value)?;
                let account = self.account(gate);
                match place.state {
                    StoredEntryState::Waiting { .. } => account.waiting_count += 1,
                    StoredEntryState::Held { .. } => {
                        account.held_count += 1;
                        report.permit_count += 1;
                    }
                }
                if let Some(other) = account.arrivals.insert(place.arrival, owner.to_owned()) {
                    let what = format!("{owner:?} and {other:?} have the same place");
                    report.add(format_args!("gate {gate:?}"), what);
                }
            }
            DecodedKey::GatePolicy(_) => drop(GatePolicyRecord::decode(value)?),
            DecodedKey::GateUsage(_) => drop(GateUsage::decode(value)?),
            DecodedKey::GateWaits(_) => drop(GateWaits::decode(value)?),
            _ => {}
        }
        Ok(())
    }

    fn account(&mut self, gate: &str) -> &mut GateAccount {
        self.0.entry(gate.to_owned()).or_default()
    }

    /// Compares the accounts of all gates.
    pub(crate) fn close(&self, report: &mut CheckReport) {
        for (gate, account) in &self.0 {
            let place = format!("gate {gate:?}");
            let pairs = [
                ("waiting", account.meta.waiting_count, account.waiting_count),
                ("permits", account.meta.held_count, account.held_count),
            ];
            for (what, told, found) in pairs.into_iter().filter(|(_, told, found)| told != found) {
                report.add(&place, format_args!("{told} {what} are recorded, {found} are there"));
            }
            let last = account.arrivals.last_key_value();
            if let Some((arrival, _)) = last.filter(|&(&last, _)| last >= account.meta.arrival_next)
            {
                let what = format!("arrival {arrival} comes after the next one to be numbered");
                report.add(&place, what);
            }
        }
    }
}
