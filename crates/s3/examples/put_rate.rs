//! Measures how long a folder takes to open, and how many small objects a second it stores.
//!
//! Takes a folder, the number of objects and the number of writers at once. Prints one line with both figures.

use std::io::Write;
use std::time::Instant;

use abanico_s3::{LocalS3, Options};
use abanico_store::{ObjectAttributes, ObjectStore, ObjectUrl};

const BYTES: usize = 4_096;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let folder = arguments.next().ok_or("usage: put_rate FOLDER OBJECTS WRITERS")?;
    let objects: usize = arguments.next().ok_or("how many objects?")?.parse()?;
    let writers: usize = arguments.next().ok_or("how many writers?")?.parse()?;
    let start = Instant::now();
    let s3 = LocalS3::open(folder.as_ref(), Options::default())?;
    let opened = start.elapsed();
    s3.ensure_bucket("measured").await?;
    let start = Instant::now();
    let tasks: Vec<_> = (0..writers)
        .map(|writer| {
            let (s3, source) = (s3.clone(), format!("{folder}/source-{writer}"));
            tokio::spawn(async move {
                for number in 0..objects / writers {
                    // A file that is taken in becomes read-only, so each object has its own.
                    let _ = std::fs::remove_file(&source);
                    std::fs::write(&source, vec![0; BYTES])?;
                    let url = ObjectUrl::s3("measured", format!("{writer}/{number}"));
                    s3.publish(source.as_ref(), &url, &ObjectAttributes::default())
                        .await
                        .map_err(std::io::Error::other)?;
                }
                std::io::Result::Ok(())
            })
        })
        .collect();
    for task in tasks {
        task.await??;
    }
    let rate = objects as f64 / start.elapsed().as_secs_f64();
    writeln!(std::io::stdout(), "opened in {} ms, {rate:.0} objects/s", opened.as_millis())?;
    Ok(())
}
