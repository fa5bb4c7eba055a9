//! What belongs to the agent, whatever the project: jobs and leases, schedules, receipts.

use std::collections::{HashMap, HashSet};

use vigie_protocol::job::Job;

use super::Check;
use super::catalog::all;
use crate::store::Result;
use crate::store::catalog::Catalog;
use crate::store::gc::uploaded;

const PAGE: usize = 500;

impl Check<'_> {
    pub(super) fn agent(&mut self, catalog: &Catalog) -> Result<()> {
        let looked = self.jobs(catalog);
        self.legible("jobs", looked)?;
        let looked = self.schedules(catalog);
        self.legible("schedules", looked)?;
        let looked = self.receipts(catalog);
        self.legible("receipts", looked).map(drop)
    }

    fn jobs(&mut self, catalog: &Catalog) -> Result<()> {
        let unfinished = self.legible("unfinished jobs", catalog.unfinished_jobs())?;
        let unfinished: Option<HashSet<_>> = unfinished.map(|jobs| jobs.iter().map(|job| job.id).collect());
        let mut ended = HashMap::new();
        for job in all(|cursor| catalog.jobs(None, None, cursor, PAGE))? {
            ended.insert(job.id, job.state.is_final());
            self.uploads(&job);
            // A list that cannot be read says nothing of any job.
            let listed = unfinished.as_ref().map(|unfinished| unfinished.contains(&job.id));
            match (listed, job.state.is_final()) {
                (Some(true), true) => {
                    self.broken(format_args!("job {}", job.id), "it has ended and is listed as unfinished");
                }
                (Some(false), false) => {
                    self.broken(format_args!("job {}", job.id), "it is not listed as unfinished");
                }
                (None | Some(_), _) => {}
            }
        }
        for lease in catalog.leases()? {
            let place = format!("lease on {}", lease.resource);
            match ended.get(&lease.holder) {
                Some(false) => {}
                Some(true) => {
                    let text =
                        format!("{} has ended and holds it still; the next start frees it", lease.holder);
                    self.note(place, text);
                }
                None => self.broken(place, "its job does not exist"),
            }
        }
        Ok(())
    }

    /// What a job that has not ended still needs.
    fn uploads(&mut self, job: &Job) {
        if let Some(hash) = uploaded(&job.spec)
            && !job.state.is_final()
        {
            self.names(hash, &format!("job {}", job.id));
        }
    }

    fn schedules(&mut self, catalog: &Catalog) -> Result<()> {
        for fault in catalog.schedules_at_odds()? {
            self.broken("schedules", fault);
        }
        Ok(())
    }

    fn receipts(&mut self, catalog: &Catalog) -> Result<()> {
        for fault in catalog.receipts_without_twin()? {
            self.broken("receipts", fault);
        }
        let due = catalog.audit_due()?.len();
        if due > 0 {
            self.note(
                "audit.log",
                format_args!("{due} lines are not written yet; the next start writes them"),
            );
        }
        Ok(())
    }
}
