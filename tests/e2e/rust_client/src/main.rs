//! Uses S3 and MediaConvert through AWS's SDK for Rust, as a user's program would.
//!
//! The arguments are a film and a folder; endpoint, region and keys come from the environment, as SDKs read them. Prints one
//! JSON object with what it saw to stdout and downloads the job's outputs to the folder. It uses only settings that an AWS
//! account would accept, and it judges nothing: the test does.

mod jobs;
mod objects;
mod refusals;
mod resources;
mod rest;
mod settings;

use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;

use aws_smithy_types::error::display::DisplayErrorContext;
use serde_json::{Value, json};

/// A result, or the error of the call that failed.
type Outcome<T> = Result<T, Box<dyn Error>>;

/// The bucket that the program uploads to.
const BUCKET: &str = "from-rust";
/// The role that every job names.
const ROLE: &str = "arn:aws:iam::000000000000:role/r";

/// Both services, for one account.
struct Clients {
    s3: aws_sdk_s3::Client,
    mediaconvert: aws_sdk_mediaconvert::Client,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let words: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let [film, folder] = words.as_slice() else {
        eprintln!("error: expected two arguments: a film and a folder");
        return ExitCode::from(2);
    };
    match walk(&clients().await, film, folder).await {
        Ok(seen) => {
            println!("{seen}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {}", DisplayErrorContext(&*error));
            ExitCode::FAILURE
        }
    }
}

/// Creates the clients from the environment, as every program with the SDK does, except that connections have no TLS.
async fn clients() -> Clients {
    let http = aws_smithy_http_client::Builder::new().build_http();
    let config = aws_config::from_env().http_client(http).load().await;
    Clients { s3: aws_sdk_s3::Client::new(&config), mediaconvert: aws_sdk_mediaconvert::Client::new(&config) }
}

async fn walk(clients: &Clients, film: &std::path::Path, folder: &std::path::Path) -> Outcome<Value> {
    let Clients { s3, mediaconvert } = clients;
    let objects = objects::seen(s3, film).await?;
    let resources = resources::seen(mediaconvert).await?;
    let jobs = jobs::seen(clients, folder).await?;
    let rest = rest::seen(mediaconvert, jobs["made"]["id"].as_str().unwrap_or_default()).await?;
    let refusals = refusals::seen(clients).await?;
    let gone = resources::removed(mediaconvert).await?;
    Ok(json!({
        "objects": objects, "resources": resources, "jobs": jobs, "rest": rest, "refusals": refusals, "gone": gone,
    }))
}
