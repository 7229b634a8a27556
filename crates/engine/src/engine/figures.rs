//! Says what an engine is doing now and what it has counted. Reads it only.

use super::Engine;
use crate::error::Error;
use crate::jobs::job_machine::Stage;
use crate::jobs::tallies::Tallies;
use crate::records::database::Database;
use crate::site::encoders::Load;

/// What an engine is doing now.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Figures {
    /// Permits of the encoders: one per processor.
    pub encoders: u32,
    /// Permits that encodes have.
    pub encoders_in_use: u32,
    /// Encodes that wait for permits.
    pub encodes_waiting: u64,
    /// How often a kept encode could be reused.
    pub kept_hits: u64,
    /// How often none was there.
    pub kept_misses: u64,
    /// Size of the kept encodes in bytes.
    pub kept_bytes: u64,
    /// When the job that waits longest was submitted, in milliseconds since 1970-01-01 UTC.
    pub oldest_waiting_ms: Option<i64>,
}

impl Engine {
    /// Returns the counts of this engine.
    pub fn tallies(&self) -> &Tallies {
        &self.workshop().tallies
    }

    /// Returns what the engine is doing now.
    ///
    /// # Errors
    /// Fails if the job database cannot be read.
    pub async fn figures(&self) -> Result<Figures, Error> {
        let workshop = self.workshop();
        let Load { permits, in_use, waiting } = workshop.turns.load();
        let mut figures = Figures {
            encoders: permits,
            encoders_in_use: in_use,
            encodes_waiting: waiting,
            ..Figures::default()
        };
        if let Some(kept) = workshop.machine.results.clone() {
            (figures.kept_hits, figures.kept_misses) = kept.uses();
            let bytes = tokio::task::spawn_blocking(move || kept.bytes()).await;
            figures.kept_bytes = bytes.unwrap_or(0);
        }
        figures.oldest_waiting_ms = self.database(Database::oldest_waiting_ms).await?;
        Ok(figures)
    }

    /// Counts the jobs of each final stage that ever ended, also those that are no longer kept.
    ///
    /// # Errors
    /// Fails if the job database cannot be read.
    pub async fn ever_finished(&self) -> Result<Vec<(Stage, u64)>, Error> {
        self.database(Database::ever_finished).await
    }
}
