//! What a program with AWS's SDK for Rust does with S3 and MediaConvert. In: a film and a folder as words; endpoint, region and
//! keys from the environment, as SDKs read them. Out: one JSON object of what it saw on stdout, the outputs in the folder.
//! Never a setting that an AWS account would not take, and never an opinion of what it saw: that is the test's.

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

/// A fact, or whatever kept it from being learnt.
type Outcome<T> = Result<T, Box<dyn Error>>;

/// The bucket of what the program uploads.
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
        eprintln!("error: a film and a folder are wanted, in this order");
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

/// Reads the environment as every program with the SDK does; alone the connection is without TLS.
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
