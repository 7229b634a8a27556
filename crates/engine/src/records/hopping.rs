//! Moves waiting jobs from queue to queue, and stores that with the events that tell of it.

use crate::error::Error;
use crate::jobs::events;
use crate::jobs::hops::due;
use crate::jobs::ids::JobId;
use crate::jobs::job::QueueTransition;
use crate::records::database::Database;

impl Database {
    /// Moves every waiting job whose hop is due, except those that are `active`, each with its event in one
    /// transaction. Returns how many hopped.
    ///
    /// # Errors
    /// Fails if the job database cannot be read or written.
    pub(crate) fn hop(&self, now_ms: i64, active: impl Fn(&JobId) -> bool) -> Result<usize, Error> {
        let mut hopped = 0;
        for mut record in self.hopping()? {
            let Some(hop) = due(&record, now_ms).filter(|_| !active(&record.id)) else { continue };
            let now_ms = record.times.not_before(now_ms);
            let transition = QueueTransition {
                source: std::mem::replace(&mut record.submission.queue, hop.queue),
                destination: record.submission.queue.clone(),
                at_ms: now_ms,
            };
            let event = events::queue_hop(&record, &transition.source, hop.priority, now_ms);
            record.submission.priority = hop.priority;
            record.transitions.push(transition);
            self.update(&record, &[event])?;
            hopped += 1;
        }
        Ok(hopped)
    }
}
