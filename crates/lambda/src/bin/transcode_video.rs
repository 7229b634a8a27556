//! Lambda program `transcode-video`: turns uploads into jobs. If a setting is wrong, it exits at once and names it.

use abanico_lambda::settings::Environment;
use abanico_lambda::transcode_video::TranscodeVideo;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    abanico_lambda::serve(
        || TranscodeVideo::new(&Environment::new(&|name| std::env::var(name).ok())),
        |function: std::sync::Arc<TranscodeVideo>, event| async move { function.handle(&event).await },
    )
    .await
}
