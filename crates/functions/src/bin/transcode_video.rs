//! Lambda program `transcode-video`: in news of uploads, out jobs. Never starts with a
//! wrong setting: it ends with the name of what is wrong.

use abanico_functions::settings::Environment;
use abanico_functions::transcode_video::TranscodeVideo;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    abanico_functions::serve(
        || TranscodeVideo::new(&Environment::new(&|name| std::env::var(name).ok())),
        |function: std::sync::Arc<TranscodeVideo>, event| async move { function.handle(&event).await },
    )
    .await
}
