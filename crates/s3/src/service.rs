//! Serves the S3 protocol over HTTP: sends each operation to the method that implements it.
//!
//! The operations themselves are in their own files.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use s3s::auth::SimpleAuth;
use s3s::dto::*;
use s3s::service::S3ServiceBuilder;
use s3s::{Body, S3, S3Request, S3Response, S3Result};

use crate::LocalS3;
use crate::cors::{CrossOrigin, refused};

/// Implements `S3`. A listed operation gives only its input to its method; the others are written out here.
macro_rules! operations {
    ($($operation:ident($input:ident) -> $output:ident => $method:ident;)*) => {
        #[async_trait::async_trait]
        impl S3 for LocalS3 {
            $(async fn $operation(&self, request: S3Request<$input>) -> S3Result<S3Response<$output>> {
                Ok(S3Response::new(self.$method(request.input).await?))
            })*

            async fn put_object(&self, request: S3Request<PutObjectInput>) -> S3Result<S3Response<PutObjectOutput>> {
                Ok(S3Response::new(self.put(request).await?))
            }

            async fn upload_part(&self, request: S3Request<UploadPartInput>) -> S3Result<S3Response<UploadPartOutput>> {
                Ok(S3Response::new(self.take_part(request).await?))
            }

            async fn complete_multipart_upload(
                &self,
                request: S3Request<CompleteMultipartUploadInput>,
            ) -> S3Result<S3Response<CompleteMultipartUploadOutput>> {
                Ok(S3Response::new(self.complete(request).await?))
            }

            async fn abort_multipart_upload(
                &self,
                request: S3Request<AbortMultipartUploadInput>,
            ) -> S3Result<S3Response<AbortMultipartUploadOutput>> {
                let output = self.abort(request.input).await?;
                Ok(S3Response::with_status(output, StatusCode::NO_CONTENT))
            }

            async fn delete_bucket_cors(
                &self,
                request: S3Request<DeleteBucketCorsInput>,
            ) -> S3Result<S3Response<DeleteBucketCorsOutput>> {
                let output = self.delete_cors(request.input).await?;
                Ok(S3Response::with_status(output, StatusCode::NO_CONTENT))
            }

            async fn get_object(&self, request: S3Request<GetObjectInput>) -> S3Result<S3Response<GetObjectOutput>> {
                let mut input = request.input;
                let disposition = input.response_content_disposition.take();
                let mut output = self.get(input).await?;
                output.content_disposition = disposition.or(output.content_disposition);
                let status = output.content_range.as_ref().map(|_| StatusCode::PARTIAL_CONTENT);
                Ok(S3Response { status, ..S3Response::new(output) })
            }

            async fn head_object(&self, request: S3Request<HeadObjectInput>) -> S3Result<S3Response<HeadObjectOutput>> {
                let (output, is_partial) = self.head(request.input).await?;
                let status = is_partial.then_some(StatusCode::PARTIAL_CONTENT);
                Ok(S3Response { status, ..S3Response::new(output) })
            }

            async fn delete_object(
                &self,
                request: S3Request<DeleteObjectInput>,
            ) -> S3Result<S3Response<DeleteObjectOutput>> {
                let output = self.delete_one(request.input).await?;
                Ok(S3Response::with_status(output, StatusCode::NO_CONTENT))
            }

            async fn delete_bucket(
                &self,
                request: S3Request<DeleteBucketInput>,
            ) -> S3Result<S3Response<DeleteBucketOutput>> {
                self.remove_bucket(request.input).await?;
                Ok(S3Response::with_status(DeleteBucketOutput {}, StatusCode::NO_CONTENT))
            }

            async fn head_bucket(&self, request: S3Request<HeadBucketInput>) -> S3Result<S3Response<HeadBucketOutput>> {
                Ok(S3Response::new(self.bucket_head(&request.input.bucket).await?))
            }

            async fn get_bucket_location(
                &self,
                request: S3Request<GetBucketLocationInput>,
            ) -> S3Result<S3Response<GetBucketLocationOutput>> {
                Ok(S3Response::new(self.bucket_location(&request.input.bucket).await?))
            }

            async fn get_bucket_acl(
                &self,
                request: S3Request<GetBucketAclInput>,
            ) -> S3Result<S3Response<GetBucketAclOutput>> {
                Ok(S3Response::new(self.bucket_acl(&request.input.bucket).await?))
            }

            async fn get_bucket_versioning(
                &self,
                request: S3Request<GetBucketVersioningInput>,
            ) -> S3Result<S3Response<GetBucketVersioningOutput>> {
                self.require_bucket(&request.input.bucket).await?;
                Ok(S3Response::new(GetBucketVersioningOutput::default()))
            }
        }
    };
}

operations! {
    copy_object(CopyObjectInput) -> CopyObjectOutput => copy;
    create_multipart_upload(CreateMultipartUploadInput) -> CreateMultipartUploadOutput => begin_upload;
    upload_part_copy(UploadPartCopyInput) -> UploadPartCopyOutput => copy_part;
    list_parts(ListPartsInput) -> ListPartsOutput => upload_parts;
    list_multipart_uploads(ListMultipartUploadsInput) -> ListMultipartUploadsOutput => uploads;
    get_object_attributes(GetObjectAttributesInput) -> GetObjectAttributesOutput => attributes;
    get_bucket_cors(GetBucketCorsInput) -> GetBucketCorsOutput => get_cors;
    put_bucket_cors(PutBucketCorsInput) -> PutBucketCorsOutput => put_cors;
    get_bucket_notification_configuration(GetBucketNotificationConfigurationInput)
        -> GetBucketNotificationConfigurationOutput => get_notifications;
    put_bucket_notification_configuration(PutBucketNotificationConfigurationInput)
        -> PutBucketNotificationConfigurationOutput => put_notifications;
    create_bucket(CreateBucketInput) -> CreateBucketOutput => make_bucket;
    list_buckets(ListBucketsInput) -> ListBucketsOutput => all_buckets;
    list_objects(ListObjectsInput) -> ListObjectsOutput => list_v1;
    list_objects_v2(ListObjectsV2Input) -> ListObjectsV2Output => list_v2;
    delete_objects(DeleteObjectsInput) -> DeleteObjectsOutput => delete_many;
    get_object_tagging(GetObjectTaggingInput) -> GetObjectTaggingOutput => tags;
    put_object_tagging(PutObjectTaggingInput) -> PutObjectTaggingOutput => put_tags;
    delete_object_tagging(DeleteObjectTaggingInput) -> DeleteObjectTaggingOutput => delete_tags;
}

impl LocalS3 {
    /// Creates the HTTP service: path-style S3 with Signature Version 4 by any of `credentials` (access key, secret).
    /// It can be the fallback of an axum router. Without credentials, it refuses every request.
    pub fn service(&self, credentials: Vec<(String, String)>) -> S3HttpService {
        let mut auth = SimpleAuth::new();
        for (access, secret) in credentials {
            auth.register(access, secret.into());
        }
        let mut builder = S3ServiceBuilder::new(self.clone());
        builder.set_auth(auth);
        S3HttpService { s3: self.clone(), service: builder.build() }
    }
}

/// The endpoint as a tower service. It never fails: errors become S3 error responses.
#[derive(Clone)]
pub struct S3HttpService {
    s3: LocalS3,
    service: s3s::service::S3Service,
}

impl<B> tower::Service<Request<B>> for S3HttpService
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    Box<dyn std::error::Error + Send + Sync>: From<B::Error>,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let service = self.clone();
        Box::pin(async move { Ok(service.answer(request.map(Body::http_body_unsync)).await) })
    }
}

impl S3HttpService {
    async fn answer(&self, request: Request<Body>) -> Response<Body> {
        let cross_origin = CrossOrigin::of(&request);
        if request.method() == Method::OPTIONS {
            let answer = match &cross_origin {
                Some(cross_origin) => cross_origin.preflight(&self.s3).await,
                None => None,
            };
            return answer.unwrap_or_else(refused);
        }
        let is_http1 = request.version() <= http::Version::HTTP_11;
        let has_body = !http_body::Body::is_end_stream(request.body());
        let mut response = self.answer_s3(request).await;
        if is_http1 && has_body && response.status().is_client_error() {
            // The body may be unread, and a client that waits for `100 Continue` never sends it. So the next bytes on
            // this connection could be the body or another request.
            response.headers_mut().insert(http::header::CONNECTION, http::HeaderValue::from_static("close"));
        }
        if let Some(cross_origin) = cross_origin {
            cross_origin.allow(&self.s3, response.headers_mut()).await;
        }
        response
    }

    async fn answer_s3(&self, request: Request<Body>) -> Response<Body> {
        match self.service.call(request).await {
            Ok(response) => response,
            Err(error) => {
                let error: Box<dyn std::error::Error + Send + Sync> = error.into();
                tracing::error!(error = &*error as &dyn std::error::Error, "cannot answer an S3 request");
                let mut response = Response::new(Body::empty());
                *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
                response
            }
        }
    }
}
