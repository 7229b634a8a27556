//! Lambda program `bucket-notification`: in requests of CloudFormation, out a notification on a bucket. Never starts with a
//! wrong setting: it ends with the name of what is wrong.

use abanico_functions::bucket_notification::BucketNotification;
use abanico_functions::settings::Environment;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    abanico_functions::serve(
        || BucketNotification::new(&Environment::new(&|name| std::env::var(name).ok())),
        |function: std::sync::Arc<BucketNotification>, event| async move { function.handle(&event).await },
    )
    .await
}
