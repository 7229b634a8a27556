//! Makes calls that must be refused, and reads each error as the type that the SDK has for it.
//!
//! Needs the preset and the bucket that the other modules created. Returns type, code, status and message.

use aws_sdk_mediaconvert::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_mediaconvert::operation::RequestId;
use aws_sdk_mediaconvert::operation::create_job::CreateJobError;
use aws_sdk_mediaconvert::operation::create_preset::CreatePresetError;
use aws_sdk_mediaconvert::operation::delete_preset::DeletePresetError;
use aws_sdk_mediaconvert::operation::get_job::GetJobError;
use aws_sdk_mediaconvert::operation::probe::ProbeError;
use aws_sdk_mediaconvert::types::ProbeInputFile;
use serde_json::{Value, json};

use crate::settings::{self, PRESET};
use crate::{BUCKET, Clients, Outcome, ROLE};

pub(crate) async fn seen(clients: &Clients) -> Outcome<Value> {
    let client = &clients.mediaconvert;
    let create = |settings| client.create_job().role(ROLE).settings(settings).send();
    let nothing = refusal(create(settings::nothing()).await, |error| {
        matches!(error, CreateJobError::BadRequestException(_))
    });
    let wide = settings::too_wide(&format!("s3://{BUCKET}/x.mp4"));
    let wide = refusal(create(wide).await, |error| matches!(error, CreateJobError::BadRequestException(_)));
    let unknown = client.get_job().id("1234567890123-nobody").send().await;
    let unknown = refusal(unknown, |error| matches!(error, GetJobError::NotFoundException(_)));
    let twice = client.create_preset().name(PRESET).settings(settings::preset(320, 180)).send().await;
    let twice = refusal(twice, |error| matches!(error, CreatePresetError::ConflictException(_)));
    let system =
        client.delete_preset().name("System-Generic_Hd_Mp4_Avc_Aac_16x9_1280x720p_24Hz_4.5Mbps").send().await;
    let system = refusal(system, |error| matches!(error, DeletePresetError::ForbiddenException(_)));
    clients.s3.put_object().bucket(BUCKET).key("words.mp4").body(b"no film".to_vec().into()).send().await?;
    let words = ProbeInputFile::builder().file_url(format!("s3://{BUCKET}/words.mp4")).build();
    let words = client.probe().input_files(words).send().await;
    let words = refusal(words, |error| matches!(error, ProbeError::UnprocessableEntityException(_)));
    Ok(json!({
        "nothing": nothing, "tooWide": wide, "unknown": unknown, "twice": twice, "system": system, "noFilm": words,
        "stranger": stranger(clients).await, "s3": s3(&clients.s3).await,
    }))
}

/// Reads S3's errors about missing or damaged things by the SDK's types.
async fn s3(client: &aws_sdk_s3::Client) -> Value {
    let object = client.get_object().bucket(BUCKET).key("nothing").send().await;
    let head = client.head_object().bucket(BUCKET).key("nothing").send().await;
    let bucket = client.list_objects_v2().bucket("no-such-bucket").send().await;
    let digest = client.put_object().bucket(BUCKET).key("x").checksum_sha256("A".repeat(43) + "=");
    let digest = digest.body(b"other".to_vec().into()).send().await;
    let upload = client.abort_multipart_upload().bucket(BUCKET).key("x").upload_id("nothing").send().await;
    json!({
        "noSuchKey": object.is_err_and(|error| error.into_service_error().is_no_such_key()),
        "notFound": head.is_err_and(|error| error.into_service_error().is_not_found()),
        "noSuchBucket": bucket.is_err_and(|error| error.into_service_error().is_no_such_bucket()),
        "badDigest": digest.is_err_and(|error| error.code() == Some("BadDigest")),
        "noSuchUpload": upload.is_err_and(|error| error.into_service_error().is_no_such_upload()),
    })
}

/// Makes a call signed with another secret. The model has no type for that error, so its code counts.
async fn stranger(clients: &Clients) -> Value {
    let config = clients.mediaconvert.config();
    let key = std::env::var("AWS_ACCESS_KEY_ID").unwrap_or_default();
    let pair = aws_sdk_mediaconvert::config::Credentials::new(key, "another secret", None, None, "test");
    let client =
        aws_sdk_mediaconvert::Client::from_conf(config.to_builder().credentials_provider(pair).build());
    refusal(client.list_queues().send().await, |_| false)
}

/// Describes a refused call: whether the SDK read it as the wanted type, its code, message and HTTP status, and whether it has a
/// request id.
fn refusal<T, E: ProvideErrorMetadata>(
    answer: Result<T, SdkError<E>>,
    is_wanted: impl Fn(&E) -> bool,
) -> Value {
    let Err(SdkError::ServiceError(refused)) = answer else {
        return json!({"code": null});
    };
    let error = refused.err();
    json!({
        "isTyped": is_wanted(error),
        "code": error.code(),
        "message": error.message(),
        "status": refused.raw().status().as_u16(),
        "hasId": error.meta().request_id().is_some(),
    })
}
