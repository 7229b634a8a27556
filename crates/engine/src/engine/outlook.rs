//! Foresees a full disk: how much room running and waiting jobs are going to need, and when the disk is full at the pace
//! at which it fills now. The numbers are estimates; nothing but messages and metrics depends on them.

use std::collections::VecDeque;
use std::io;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use abanico_media::MediaInfo;

use crate::engine::Engine;
use crate::error::Error;
use crate::jobs::job::JobRecord;
use crate::jobs::job_machine::Stage;
use crate::records::database::{Database, ListFilter};

/// A job needs about this many times the size of its inputs: for its encodes, and for the files that are made of them.
const ROOM_FOR_INPUT: u64 = 2;
/// How many finished jobs tell how large the inputs of waiting ones are.
const RECENT_JOBS: usize = 20;
/// Most running jobs that are looked at one by one.
const MOST_RUNNING: usize = 1000;
/// How long an estimate is good enough.
const FRESH: Duration = Duration::from_secs(5);
/// Pause between two looks at the disk for its pace.
const LOOK_EVERY: Duration = Duration::from_secs(60);
/// Over how long the pace is measured, at least and at most.
const SHORTEST: Duration = Duration::from_secs(600);
const LONGEST: Duration = Duration::from_secs(3_600);

/// What is known about the disk of the engine's folder.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct DiskOutlook {
    /// Bytes that are free.
    pub free_bytes: u64,
    /// Size of the disk.
    pub size_bytes: u64,
    /// Bytes that running and waiting jobs are going to need, by estimate.
    pub needed_bytes: u64,
    /// When the disk is full at the pace of the last hour; `None` if it does not fill, or too little is known.
    pub full_in: Option<Duration>,
}

impl DiskOutlook {
    /// Whether jobs are going to need more than there is.
    pub fn is_too_small(&self) -> bool {
        self.needed_bytes > self.free_bytes
    }
}

/// The pace at which a disk fills.
#[derive(Debug, Default)]
pub(crate) struct Pace(Mutex<VecDeque<(Instant, u64)>>);

impl Pace {
    /// Notes how much is free, unless that was noted a moment ago.
    pub fn note(&self, now: Instant, free_bytes: u64) {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.back().is_some_and(|(last, _)| now.duration_since(*last) < LOOK_EVERY) {
            return;
        }
        seen.push_back((now, free_bytes));
        while seen.front().is_some_and(|(first, _)| now.duration_since(*first) > LONGEST) {
            seen.pop_front();
        }
    }

    /// Returns when nothing is free any more.
    pub fn full_in(&self, now: Instant, free_bytes: u64) -> Option<Duration> {
        let seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (first, before) = seen.front()?;
        let took = now.duration_since(*first);
        let filled = before.checked_sub(free_bytes).filter(|filled| *filled > 0)?;
        let seconds = u128::from(free_bytes) * took.as_millis() / u128::from(filled) / 1000;
        (took >= SHORTEST).then(|| Duration::from_secs(u64::try_from(seconds).unwrap_or(u64::MAX)))
    }
}

/// The last estimate.
#[derive(Debug, Default)]
pub(crate) struct Outlook {
    pub pace: Pace,
    needed: Mutex<Option<(Instant, u64)>>,
}

impl Engine {
    /// Returns what is known about the disk of the engine's folder.
    ///
    /// # Errors
    /// Fails if the job database or the disk cannot be read.
    pub async fn disk_outlook(&self) -> Result<DiskOutlook, Error> {
        let (free_bytes, size_bytes) =
            space(self.folder()).map_err(|error| Error::storage("look at the disk", error))?;
        let now = Instant::now();
        let pace = &self.outlook().pace;
        pace.note(now, free_bytes);
        let full_in = pace.full_in(now, free_bytes);
        Ok(DiskOutlook { free_bytes, size_bytes, needed_bytes: self.needed_bytes(now).await?, full_in })
    }

    /// Notes how much is free, for the pace.
    pub(crate) fn look_at_disk(&self) {
        if let Ok((free_bytes, _)) = space(self.folder()) {
            self.outlook().pace.note(Instant::now(), free_bytes);
        }
    }

    async fn needed_bytes(&self, now: Instant) -> Result<u64, Error> {
        let kept = || self.outlook().needed.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((at, needed)) = *kept()
            && now.duration_since(at) < FRESH
        {
            return Ok(needed);
        }
        let works = self.folder().join("work");
        let needed = self.database(move |database| needed_bytes(database, &works)).await?;
        *kept() = Some((now, needed));
        Ok(needed)
    }
}

/// Estimates how many more bytes the jobs that have not ended are going to need. Blocking.
fn needed_bytes(database: &Database, works: &Path) -> Result<u64, Error> {
    let stages = vec![Stage::Probing, Stage::Transcoding, Stage::Uploading];
    let running = database.list(&ListFilter { stages, ..ListFilter::default() }, MOST_RUNNING)?;
    let counts = database.counts()?;
    let waiting: u64 =
        counts.iter().filter(|(stage, _)| *stage == Stage::Submitted).map(|(_, count)| count).sum();
    if running.is_empty() && waiting == 0 {
        return Ok(0);
    }
    let stages = vec![Stage::Complete];
    let recent = ListFilter { stages, newest_first: true, ..ListFilter::default() };
    let known: Vec<u64> =
        database.list(&recent, RECENT_JOBS)?.iter().chain(&running).filter_map(input_bytes).collect();
    let usual = known.iter().sum::<u64>() / u64::try_from(known.len()).unwrap_or(u64::MAX).max(1);
    let of_running = running.iter().map(|record| {
        let whole = ROOM_FOR_INPUT.saturating_mul(input_bytes(record).unwrap_or(usual));
        let whole = whole.saturating_add(copied_bytes(record));
        whole.saturating_sub(crate::engine::storage::own_bytes_below(&works.join(record.id.as_str())))
    });
    let of_waiting = waiting.saturating_mul(ROOM_FOR_INPUT).saturating_mul(usual);
    Ok(of_running.fold(of_waiting, u64::saturating_add))
}

/// Returns the size of a job's inputs, once they are probed.
fn input_bytes(record: &JobRecord) -> Option<u64> {
    let inputs = &record.inputs;
    (!inputs.is_empty()).then(|| inputs.iter().map(|input| input.size_bytes).fold(0, u64::saturating_add))
}

/// Returns the size of the inputs that the job works on copies of (`steps/unbroken.rs`), which take room beside them.
fn copied_bytes(record: &JobRecord) -> u64 {
    let is_copied =
        |input: &&MediaInfo| input.jumps.count > 0 || input.audio.iter().any(|track| !track.forms.is_empty());
    record.inputs.iter().filter(is_copied).map(|input| input.size_bytes).fold(0, u64::saturating_add)
}

/// Returns how many bytes of the folder's disk are free for this user, and its size.
fn space(folder: &Path) -> io::Result<(u64, u64)> {
    let stats = nix::sys::statvfs::statvfs(folder)?;
    let unit = stats.fragment_size();
    Ok((stats.blocks_available() * unit, stats.blocks() * unit))
}

#[cfg(test)]
mod tests {
    use abanico_media::{ClockJumps, ExactTime};

    use super::*;
    use crate::jobs::job_machine::Event;
    use crate::records::database::{sample_database, sample_record};

    const MINUTE: Duration = Duration::from_secs(60);

    #[test]
    fn full_disk_is_foreseen_from_its_pace() {
        let (pace, start) = (Pace::default(), Instant::now());
        for minute in 0..=20 {
            pace.note(start + MINUTE * minute, 10_000 - u64::from(minute) * 100);
        }
        let now = start + MINUTE * 20;
        assert_eq!(pace.full_in(now, 8_000), Some(MINUTE * 80));
        assert_eq!(pace.full_in(now, 10_000), None, "it does not fill");
        assert_eq!(pace.full_in(now, 10_001), None, "it empties");
        let young = Pace::default();
        young.note(start, 10_000);
        assert_eq!(young.full_in(start + MINUTE, 1), None, "one upload is no pace");
    }

    #[test]
    fn pace_forgets_what_is_long_ago() {
        let (pace, start) = (Pace::default(), Instant::now());
        for minute in 0..600 {
            pace.note(start + MINUTE * minute, 5_000);
            pace.note(start + MINUTE * minute, 1);
        }
        let seen = pace.0.lock().unwrap();
        assert_eq!(seen.len(), 61);
        assert!(seen.iter().all(|(_, free)| *free == 5_000), "a look a moment later does not count");
    }

    fn with_input(id: &str, size_bytes: u64) -> JobRecord {
        let mut record = sample_record(id, 1);
        let container = "mov".to_owned();
        let clock_start = ExactTime::ZERO;
        let jumps = ClockJumps::default();
        record.inputs =
            vec![MediaInfo { container, size_bytes, clock_start, video: None, audio: vec![], jumps }];
        record
    }

    #[test]
    fn waiting_jobs_need_what_recent_ones_needed() {
        let (folder, database) = sample_database();
        let needed = || needed_bytes(&database, folder.path()).unwrap();
        assert_eq!(needed(), 0);
        let mut done = with_input("1-a", 1000);
        for event in [Event::Started, Event::Planned(vec![]), Event::Published] {
            done.machine.apply(event);
        }
        assert_eq!(done.stage(), Stage::Complete);
        database.insert(&done, &[], 1).unwrap();
        assert_eq!(needed(), 0, "a finished job needs nothing");
        for id in ["2-b", "3-c"] {
            database.insert(&sample_record(id, 1), &[], 1).unwrap();
        }
        assert_eq!(needed(), 2 * 2 * 1000);
        let mut running = with_input("4-d", 3000);
        running.machine.apply(Event::Started);
        database.insert(&running, &[], 1).unwrap();
        assert_eq!(needed(), 2 * 2 * 2000 + 2 * 3000);
        let mut jumping = with_input("5-e", 7000);
        jumping.inputs[0].jumps.count = 1;
        assert_eq!((copied_bytes(&running), copied_bytes(&jumping)), (0, 7000), "it works on a copy");
        std::fs::create_dir(folder.path().join("4-d")).unwrap();
        std::fs::write(folder.path().join("4-d/made"), vec![0; 500]).unwrap();
        assert_eq!(needed(), 2 * 2 * 2000 + 2 * 3000 - 500, "it has some of its room already");
        let outlook = DiskOutlook { free_bytes: 10, needed_bytes: 11, ..DiskOutlook::default() };
        assert!(outlook.is_too_small() && !DiskOutlook { needed_bytes: 10, ..outlook }.is_too_small());
    }
}
