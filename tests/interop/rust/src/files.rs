use std::path::Path;

use sha2::{Digest, Sha256};
use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use crate::proto::asset_service_client::AssetServiceClient;
use crate::proto::{Asset, DownloadAssetRequest, UploadAssetRequest, UploadFinish, UploadHeader};
use crate::proto::{download_asset_response, upload_asset_request::Part};
use crate::{Authenticated, Result};

const CHUNK_BYTES: usize = 512 * 1024;

/// Stores a file; the name of the asset.
pub async fn upload(assets: &mut AssetServiceClient<Authenticated>, path: &Path) -> Result<String> {
    let (parts, receiver) = mpsc::channel(2);
    let call = assets.upload_asset(ReceiverStream::new(receiver));
    let (sent, answer) = tokio::join!(send(path, parts), call);
    sent?;
    Ok(answer?.into_inner().asset.ok_or("no asset in the answer")?.name)
}

/// Sends the header, the chunks and the finish.
async fn send(path: &Path, parts: mpsc::Sender<UploadAssetRequest>) -> Result<()> {
    let send = async |part| parts.send(UploadAssetRequest { part: Some(part) }).await;
    let mut file = File::open(path).await?;
    let filename = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let (mut digest, mut size_bytes) = (Sha256::new(), 0);
    let mut ended = send(Part::Header(UploadHeader { filename, ..Default::default() })).await;
    // An error of the channel says only that the server ended the call; the call itself says why.
    while ended.is_ok() {
        let mut chunk = Vec::with_capacity(CHUNK_BYTES);
        if (&mut file).take(CHUNK_BYTES as u64).read_to_end(&mut chunk).await? == 0 {
            break;
        }
        digest.update(&chunk);
        size_bytes += chunk.len() as i64;
        ended = send(Part::Chunk(chunk)).await;
    }
    let finish = UploadFinish { size_bytes: Some(size_bytes), sha256: hex(digest) };
    let _ = send(Part::Finish(finish)).await;
    Ok(())
}

/// Writes an asset to a file; an error when size or digest are not those of the asset.
pub async fn download(assets: &mut AssetServiceClient<Authenticated>, name: String, path: &Path) -> Result<Asset> {
    let mut parts = assets.download_asset(DownloadAssetRequest { name, ..Default::default() }).await?.into_inner();
    let mut file = File::create(path).await?;
    let (mut asset, mut digest, mut size_bytes) = (Asset::default(), Sha256::new(), 0);
    while let Some(message) = parts.message().await? {
        match message.part {
            Some(download_asset_response::Part::Asset(described)) => asset = described,
            Some(download_asset_response::Part::Chunk(chunk)) => {
                digest.update(&chunk);
                size_bytes += chunk.len() as i64;
                file.write_all(&chunk).await?;
            }
            None => {}
        }
    }
    file.flush().await?;
    if size_bytes != asset.size_bytes || hex(digest) != asset.sha256 {
        let announced = asset.size_bytes;
        return Err(format!("{}: {size_bytes} bytes came of {announced}, or their SHA-256 differs", asset.name).into());
    }
    Ok(asset)
}

fn hex(digest: Sha256) -> String {
    format!("{:x}", digest.finalize())
}
