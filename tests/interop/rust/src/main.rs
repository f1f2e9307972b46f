//! Captions a video: uploads it and its subtitles, follows the job, downloads the result.
//!
//!     X_API_KEY=… apigpu-client TARGET CERTS VIDEO SRT OUT
//!
//! TARGET is host:port, CERTS a folder with ca.crt, client.crt and client.key.

mod files;

use std::error::Error;
use std::path::Path;
use std::time::Duration;
use std::{env, fs};

use tonic::Request;
use tonic::Status;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};

use proto::asset_service_client::AssetServiceClient;
use proto::job::Status as JobStatus;
use proto::job_service_client::JobServiceClient;
use proto::watch_job_response::Event;
use proto::{CaptionRequest, Job, Operation, SubmitJobRequest, WatchJobRequest, operation};

pub mod proto {
    tonic::include_proto!("apigpu.v1");
}

pub type Result<T> = std::result::Result<T, Box<dyn Error>>;
pub type Authenticated = InterceptedService<Channel, ApiKey>;

const DEADLINE: Duration = Duration::from_secs(300);

/// Sends the key with every call.
#[derive(Clone)]
pub struct ApiKey(MetadataValue<Ascii>);

impl Interceptor for ApiKey {
    fn call(&mut self, mut request: Request<()>) -> std::result::Result<Request<()>, Status> {
        request.metadata_mut().insert("x-api-key", self.0.clone());
        Ok(request)
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let args: Vec<String> = env::args().skip(1).collect();
    let [target, certs, video, srt, out] = args.as_slice() else {
        return Err("usage: X_API_KEY=… apigpu-client TARGET CERTS VIDEO SRT OUT".into());
    };
    let [certs, video, srt, out] = [certs, video, srt, out].map(Path::new);
    tokio::time::timeout(DEADLINE, run(target, certs, video, srt, out)).await?
}

async fn run(target: &str, certs: &Path, video: &Path, srt: &Path, out: &Path) -> Result<()> {
    let channel = connect(target, certs).await?;
    let key = ApiKey(env::var("X_API_KEY")?.parse()?);
    let mut assets = AssetServiceClient::with_interceptor(channel.clone(), key.clone());
    let mut jobs = JobServiceClient::with_interceptor(channel, key);

    let url_video = files::upload(&mut assets, video).await?;
    let url_srt = files::upload(&mut assets, srt).await?;
    let job = caption(&mut jobs, CaptionRequest { url_video, url_srt, ..Default::default() }).await?;
    let name = job.output.as_ref().and_then(|output| output.asset.clone()).ok_or("the job has no output")?;
    let asset = files::download(&mut assets, name, out).await?;
    let (id, status) = (&job.id, job.status().as_str_name());
    println!(r#"{{"job":"{id}","status":"{status}","bytes":{},"sha256":"{}"}}"#, asset.size_bytes, asset.sha256);
    Ok(())
}

/// Trusts ca.crt and presents client.crt.
async fn connect(target: &str, certs: &Path) -> Result<Channel> {
    let read = |name| fs::read(certs.join(name));
    let tls = ClientTlsConfig::new()
        .ca_certificate(Certificate::from_pem(read("ca.crt")?))
        .identity(Identity::from_pem(read("client.crt")?, read("client.key")?));
    Ok(Endpoint::from_shared(format!("https://{target}"))?.tls_config(tls)?.connect().await?)
}

/// Burns the subtitles in and waits; an error when the job does not complete.
async fn caption(jobs: &mut JobServiceClient<Authenticated>, request: CaptionRequest) -> Result<Job> {
    let operation = Operation { kind: Some(operation::Kind::Caption(request)) };
    let submitted = jobs.submit_job(SubmitJobRequest { operation: Some(operation), ..Default::default() }).await?.into_inner();
    let job = watch(jobs, submitted.job.ok_or("no job in the answer")?.id).await?;
    if job.status() != JobStatus::Completed {
        let why = job.error.as_ref().map_or("", |failure| &failure.message);
        return Err(format!("job {}: {}: {why}", job.id, job.status().as_str_name()).into());
    }
    Ok(job)
}

/// Follows a job to its end.
async fn watch(jobs: &mut JobServiceClient<Authenticated>, id: String) -> Result<Job> {
    let mut progress = 0;
    let mut events = jobs.watch_job(WatchJobRequest { id, ..Default::default() }).await?.into_inner();
    while let Some(message) = events.message().await? {
        match message.event {
            Some(Event::Progress(_)) => progress += 1,
            Some(Event::Finished(job)) => {
                eprintln!("{progress} progress events, {}", job.status().as_str_name());
                return Ok(job);
            }
            _ => {}
        }
    }
    Err("the watch ended before the job".into())
}
