//! The tasks of a job in the form in which they pass through Temporal: compressed, because a payload has at most 2 MB, and
//! the names of thousands of tasks repeat each other.

use std::io::{Read, Write};

use abanico_engine::job_machine::Waiting;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::read::ZlibDecoder;
use flate2::write::ZlibEncoder;
use serde::{Deserialize, Serialize};

/// Largest list when it is unpacked. That of 10,000 tasks has about 3 MB.
const MOST_BYTES: u64 = 64 << 20;

/// A compressed list of tasks and what they wait for.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TaskList(String);

impl TaskList {
    /// Compresses a list.
    pub fn new(tasks: &[Waiting]) -> std::io::Result<Self> {
        let mut packer = ZlibEncoder::new(Vec::new(), Compression::default());
        packer.write_all(&serde_json::to_vec(tasks)?)?;
        Ok(Self(STANDARD.encode(packer.finish()?)))
    }

    /// Returns the list; an error if it is none.
    pub fn unpacked(&self) -> std::io::Result<Vec<Waiting>> {
        let packed = STANDARD.decode(&self.0).map_err(std::io::Error::other)?;
        let mut text = Vec::new();
        ZlibDecoder::new(packed.as_slice()).take(MOST_BYTES).read_to_end(&mut text)?;
        Ok(serde_json::from_slice(&text)?)
    }
}

#[cfg(test)]
mod tests {
    use abanico_plan::TaskId;

    use super::*;

    #[test]
    fn thousands_of_tasks_fit_into_a_payload() {
        let chunks = 0..5_000;
        let mut tasks: Vec<Waiting> = chunks
            .clone()
            .flat_map(|number| {
                let analysis = TaskId::analysis(Some(number));
                let chunk = Waiting { task: TaskId::chunk(number), after: vec![analysis.clone()] };
                [Waiting { task: analysis, after: Vec::new() }, chunk]
            })
            .collect();
        tasks.push(Waiting { task: TaskId::video(), after: chunks.map(TaskId::chunk).collect() });
        let list = TaskList::new(&tasks).unwrap();
        assert!(list.0.len() < 1_000_000, "{}", list.0.len());
        assert_eq!(list.unpacked().unwrap(), tasks);
    }

    #[test]
    fn odd_list_is_an_error() {
        for text in ["", "!", "YWJj"] {
            assert!(TaskList(text.to_owned()).unpacked().is_err(), "{text}");
        }
    }
}
