//! The publish step makes a job's outputs visible together, and the take-back step lets stand again what stood there
//! before. Publishing starts only once every output of the job is verified.
//!
//! Files are staged, then switched; see [`abanico_store::Publication`]. Each step may be repeated, also after a crash.
//! Only the job's record decides whether a publication is settled or taken back.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use abanico_plan::{Plan, TaskId};
use abanico_store::{NewFile, ObjectAttributes, ObjectUrl};
use abanico_tasks::packaged_files::{PackagedFile, Turn, listed};

use crate::failure::{self, codes};
use crate::jobs::job_machine::Failure;
use crate::site::context::JobContext;

/// Files that are staged between two looks at whether the job was cancelled.
const FILES_AT_ONCE: usize = 50;

/// Publishes the files of all packaging tasks, if they are as they were packaged, before they were verified. Where they become visible one after
/// the other, media comes first, then playlists, then the playlists of groups, each in the plan's order.
pub(crate) async fn publish(context: &JobContext, plan: &Plan) -> Result<(), Failure> {
    let tasks: Vec<TaskId> =
        plan.tasks.iter().filter(|task| task.kind.is_packaging()).map(|task| task.id.clone()).collect();
    refuse_changed(context, &tasks).await?;
    let files = packaged(context, &tasks)?;
    let job = context.work.job().as_str();
    let files: Vec<NewFile> =
        files.iter().map(|(path, file)| new_file(job, path, file)).collect::<Result<_, _>>()?;
    publish_files(context, &files).await
}

/// Stages files and makes them visible.
async fn publish_files(context: &JobContext, files: &[NewFile]) -> Result<(), Failure> {
    // Taking back must not begin before this has ended.
    let _publishing = context.publishing.lock().await;
    stage(context, files).await?;
    switch(context, files.iter().map(|file| file.url.to_string()).collect()).await
}

/// Makes all staged files visible. `urls` are their places.
pub(crate) async fn switch(context: &JobContext, urls: BTreeSet<String>) -> Result<(), Failure> {
    let claims = &context.workshop.claims;
    tokio::select! {
        () = claims.claim(context.work.job(), urls.clone()) => {}
        () = context.cancel.cancelled() => return Err(cancelled()),
    }
    let noted = context.work.note_claim(&urls);
    noted.map_err(|error| failure::from_disk("note what is published", &error))?;
    if context.cancel.is_cancelled() {
        return Err(cancelled());
    }
    let switched = context.workshop.store.switch(&context.publication()).await;
    switched.map_err(|error| failure::from_store(&error))
}

/// Stages files: they are durable at their destinations, and invisible.
pub(crate) async fn stage(context: &JobContext, files: &[NewFile]) -> Result<(), Failure> {
    let publication = context.publication();
    let size = |file: &NewFile| std::fs::metadata(&file.source).map_or(0, |metadata| metadata.len());
    let total: u64 = files.iter().map(size).sum();
    let mut staged_bytes = 0;
    for some in files.chunks(FILES_AT_ONCE) {
        if context.cancel.is_cancelled() {
            return Err(cancelled());
        }
        let staged = context.workshop.store.stage(&publication, some).await;
        staged.map_err(|error| failure::from_store(&error))?;
        staged_bytes += some.iter().map(size).sum::<u64>();
        context.update(|progress| {
            progress.uploading_percent = u8::try_from(staged_bytes * 100 / total.max(1)).unwrap_or(100)
        });
    }
    Ok(())
}

fn cancelled() -> Failure {
    failure::broken("publishing continued after it was cancelled")
}

/// Fails if a file of these tasks is not what the task made.
async fn refuse_changed(context: &JobContext, tasks: &[TaskId]) -> Result<(), Failure> {
    let (folders, tasks) = (context.work.tasks().clone(), tasks.to_vec());
    let compare = move || -> io::Result<Option<String>> {
        for task in &tasks {
            if let Some(name) = folders.first_changed(task.as_str())? {
                return Ok(Some(url_of(&folders.task(task.as_str()), name)));
            }
        }
        Ok(None)
    };
    let compared = tokio::select! {
        compared = tokio::task::spawn_blocking(compare) => compared,
        () = context.cancel.cancelled() => return Err(cancelled()),
    };
    let changed = compared.map_err(|_| failure::broken("hashing the outputs ended early"))?;
    match changed.map_err(|error| failure::from_disk("compare the outputs with what was verified", &error))? {
        None => Ok(()),
        Some(url) => {
            Err(failure::from_verification(&url, &["it was changed after it was packaged".to_owned()]))
        }
    }
}

/// Returns the destination of a packaged file, or its name if it has none.
fn url_of(folder: &Path, name: String) -> String {
    let files = listed(folder).unwrap_or_default();
    files.into_iter().find(|(_, file)| file.name == name).map_or(name, |(_, file)| file.url)
}

fn packaged(context: &JobContext, tasks: &[TaskId]) -> Result<Vec<(PathBuf, PackagedFile)>, Failure> {
    let mut files = Vec::new();
    for task in tasks {
        let made = listed(&context.work.tasks().task(task.as_str()));
        files.extend(made.map_err(|error| failure::from_disk("read the list of packaged files", &error))?);
    }
    files.sort_by_key(|(_, file)| file.turn);
    Ok(files)
}

fn new_file(job: &str, path: &Path, file: &PackagedFile) -> Result<NewFile, Failure> {
    let url: ObjectUrl = file.url.parse().map_err(|error| failure::from_url(codes::SETTINGS, &error))?;
    let attributes = ObjectAttributes {
        content_type: Some(file.content_type.clone()),
        content_encoding: file.is_gzip.then(|| "gzip".to_owned()),
        metadata: [("abanico-job".to_owned(), job.to_owned())].into(),
    };
    let turn = match file.turn {
        Turn::Media => 0,
        Turn::Playlist => 1,
        Turn::GroupPlaylist => 2,
    };
    Ok(NewFile { source: path.to_owned(), url, attributes, turn })
}

/// Lets stand again what stood at the job's destinations before it.
pub(crate) async fn take_back(context: &JobContext) -> Result<(), Failure> {
    let _publishing = context.publishing.lock().await;
    let taken = context.workshop.store.take_back(&context.publication()).await;
    taken.map_err(|error| failure::from_store(&error))
}

/// Ends the publication of a job whose record says that its outputs stay.
pub(crate) async fn settle(context: &JobContext) -> Result<(), Failure> {
    let settled = context.workshop.store.settle(&context.publication()).await;
    settled.map_err(|error| failure::from_store(&error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::records::database::sample_record;
    use crate::site::context::sample_context;
    use abanico_tasks::packaged_files::list;

    #[tokio::test]
    async fn file_that_was_changed_after_it_was_packaged_is_not_published() {
        let folder = tempfile::tempdir().unwrap();
        let context = sample_context(folder.path(), &sample_record("1-a", 1));
        let tasks = [TaskId::package(0), TaskId::package(1)];
        for task in &tasks {
            let name = format!("{task}.mp4");
            let place = context.work.tasks().begin(task.as_str()).unwrap();
            std::fs::write(place.join(&name), "film").unwrap();
            let file = PackagedFile {
                url: format!("s3://b/{name}"),
                name,
                content_type: "video/mp4".to_owned(),
                is_gzip: false,
                turn: Turn::Media,
            };
            list(&place, &[file]).unwrap();
            context.work.tasks().complete(task.as_str()).unwrap();
        }
        refuse_changed(&context, &tasks).await.unwrap();
        std::fs::write(context.work.tasks().task(tasks[1].as_str()).join("package-1.mp4"), "fi1m").unwrap();
        let failure = refuse_changed(&context, &tasks).await.unwrap_err();
        assert!(
            failure.message.contains("s3://b/package-1.mp4") && failure.message.contains("changed after"),
            "{failure:?}"
        );
        assert!(!failure.is_retryable);
        std::fs::write(context.work.tasks().task(tasks[0].as_str()).join("packaged-files.json"), "[]")
            .unwrap();
        assert!(refuse_changed(&context, &tasks[..1]).await.is_err(), "a file of another list");
    }
}
