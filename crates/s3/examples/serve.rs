//! Serves a folder as S3 on a loopback port, for tests and trials.
//!
//! Takes a folder, a port (0 picks a free one) and the functions that buckets may notify. Prints the URL on one line,
//! then serves until it is stopped. It is not meant for an open network.

use std::io::Write;

use abanico_s3::{LocalS3, Options};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let folder = arguments.next().ok_or("usage: serve FOLDER [PORT [FUNCTION...]]")?;
    let port = arguments.next().map_or(Ok(0), |port| port.parse::<u16>())?;
    let variable = |name: &str| std::env::var(name).unwrap_or_else(|_| "abanico".to_owned());
    let credentials = (variable("AWS_ACCESS_KEY_ID"), variable("AWS_SECRET_ACCESS_KEY"));
    let options = Options { functions: arguments.collect(), ..Options::default() };
    let s3 = LocalS3::open(folder.as_ref(), options)?;
    let app = axum::Router::new().fallback_service(s3.service(vec![credentials]));
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await?;
    writeln!(std::io::stdout(), "http://{}", listener.local_addr()?)?;
    axum::serve(listener, app).await?;
    Ok(())
}
