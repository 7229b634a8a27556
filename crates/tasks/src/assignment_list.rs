//! All assignments of a job as one artifact: files of many assignments each, so that a job of thousands of tasks needs
//! few requests, and a machine that does one task reads one small file.

use std::path::Path;

use abanico_artifacts::{ArtifactKey, ArtifactStore};

use crate::assignment::{Assignment, from_artifacts, named};
use crate::failure::{self, Failure, codes};

/// Assignments in a file. One has some kilobytes.
const IN_A_FILE: usize = 50;

/// Returns the name of the file that has the assignment with this index.
fn file_of(index: usize) -> String {
    format!("assignments-{:05}.json", index / IN_A_FILE)
}

/// Stores the assignments of a job, and returns the key of their artifact, which is the same for the same assignments.
/// `scratch` is an empty folder on this machine.
///
/// # Errors
/// Fails if they cannot be written or stored.
pub async fn store_assignments(
    store: &dyn ArtifactStore,
    assignments: &[Assignment],
    scratch: &Path,
) -> Result<ArtifactKey, Failure> {
    let (mut files, mut hashes) = (Vec::new(), String::new());
    for (number, some) in assignments.chunks(IN_A_FILE).enumerate() {
        let text = serde_json::to_vec(some).map_err(|error| failure::broken(&error.to_string()))?;
        hashes.push_str(&ArtifactKey::of(&text).to_string());
        let name = file_of(number * IN_A_FILE);
        let path = scratch.join(&name);
        let written = tokio::fs::write(&path, text).await;
        written.map_err(|error| failure::from_disk("write the assignments of a job", &error))?;
        files.push(named(&name, path)?);
    }
    let key = ArtifactKey::of(hashes.as_bytes());
    store.put(&key, &files).await.map_err(|error| from_artifacts(&error))?;
    Ok(key)
}

/// Reads one assignment of a job. `scratch` is an empty folder on this machine, and is empty again afterwards.
///
/// # Errors
/// Fails if the artifact is not there or has no such assignment.
pub async fn read_assignment(
    store: &dyn ArtifactStore,
    key: &ArtifactKey,
    index: usize,
    scratch: &Path,
) -> Result<Assignment, Failure> {
    let path = scratch.join("assignments.json");
    let mut file = named(&file_of(index), path.clone())?;
    file.path.clone_from(&path);
    let placed = store.place(key, &[file]).await.map_err(|error| from_artifacts(&error))?;
    if placed.is_none() {
        let message = format!("the assignments `{key}` of a job are not in the artifact store any more");
        return Err(Failure::new(codes::UNKNOWN, message, true));
    }
    let text =
        tokio::fs::read(&path).await.map_err(|error| failure::from_disk("read an assignment", &error))?;
    let removed = tokio::fs::remove_file(&path).await;
    removed.map_err(|error| failure::from_disk("remove an assignment", &error))?;
    let mut some: Vec<Assignment> =
        serde_json::from_slice(&text).map_err(|error| failure::broken(&error.to_string()))?;
    match index % IN_A_FILE {
        place if place < some.len() => Ok(some.swap_remove(place)),
        _ => Err(failure::broken("a job has no such assignment")),
    }
}

#[cfg(test)]
mod tests {
    use abanico_artifacts::LocalArtifacts;
    use serde_json::json;

    use super::*;

    fn assignment(number: usize) -> Assignment {
        let task = json!({"id": format!("audio-{number}"), "kind": {"stitch_video": 0}, "reads": []});
        let task = serde_json::from_value(task).or_else(|_| {
            serde_json::from_value(json!({
                "id": format!("verify-{number}"),
                "kind": {"sum_first_passes": {"chunks": 1, "analyses": []}}, "reads": []
            }))
        });
        Assignment {
            version: 1,
            ffmpeg_version: "5".to_owned(),
            subject: "s3://b/k".to_owned(),
            task: task.unwrap(),
            reads: Vec::new(),
            makes: ArtifactKey::of(number.to_string().as_bytes()),
        }
    }

    #[tokio::test]
    async fn each_assignment_is_read_back_from_a_small_file() {
        let folder = tempfile::tempdir().unwrap();
        let store = LocalArtifacts::open(&folder.path().join("artifacts")).unwrap();
        let all: Vec<Assignment> = (0..120).map(assignment).collect();
        let scratch = tempfile::tempdir().unwrap();
        let key = store_assignments(&store, &all, scratch.path()).await.unwrap();
        let manifest = store.manifest(&key).await.unwrap().unwrap();
        assert_eq!(manifest.files().len(), 3);
        let empty = tempfile::tempdir().unwrap();
        for index in [0, 49, 50, 119] {
            let read = read_assignment(&store, &key, index, empty.path()).await.unwrap();
            assert_eq!(read, all[index]);
        }
        assert!(read_assignment(&store, &key, 120, empty.path()).await.is_err());
        assert!(read_assignment(&store, &ArtifactKey::of(b"other"), 0, empty.path()).await.is_err());
        let again = tempfile::tempdir().unwrap();
        assert_eq!(store_assignments(&store, &all, again.path()).await.unwrap(), key);
        let fewer = store_assignments(&store, &all[1..], tempfile::tempdir().unwrap().path()).await.unwrap();
        assert_ne!(fewer, key);
    }
}
