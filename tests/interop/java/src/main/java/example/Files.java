package example;

import apigpu.v1.AssetServiceGrpc.AssetServiceBlockingV2Stub;
import apigpu.v1.Assets.Asset;
import apigpu.v1.Assets.DownloadAssetRequest;
import apigpu.v1.Assets.UploadAssetRequest;
import apigpu.v1.Assets.UploadAssetResponse;
import apigpu.v1.Assets.UploadFinish;
import apigpu.v1.Assets.UploadHeader;
import com.google.protobuf.ByteString;
import io.grpc.stub.BlockingClientCall;
import java.io.FileInputStream;
import java.io.FileOutputStream;
import java.io.IOException;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.util.HexFormat;

/** Moves files to and from the asset store. */
final class Files {
  private static final int CHUNK_BYTES = 512 * 1024;

  private final AssetServiceBlockingV2Stub assets;

  Files(AssetServiceBlockingV2Stub assets) {
    this.assets = assets;
  }

  /** Stores a file; the name of the asset. */
  String upload(Path path) throws Exception {
    try (var file = new FileInputStream(path.toFile())) {
      var call = assets.uploadAsset();
      var header = UploadHeader.newBuilder().setFilename(path.getFileName().toString());
      call.write(UploadAssetRequest.newBuilder().setHeader(header).build());
      var finish = sendChunks(file, call);
      call.write(UploadAssetRequest.newBuilder().setFinish(finish).build());
      call.halfClose();
      return call.read().getAsset().getName();
    }
  }

  /** Sends a file; what ends its upload. */
  private static UploadFinish sendChunks(
      FileInputStream file, BlockingClientCall<UploadAssetRequest, UploadAssetResponse> call) throws Exception {
    var digest = MessageDigest.getInstance("SHA-256");
    var size = 0L;
    for (var chunk = file.readNBytes(CHUNK_BYTES); chunk.length > 0; chunk = file.readNBytes(CHUNK_BYTES)) {
      digest.update(chunk);
      size += chunk.length;
      call.write(UploadAssetRequest.newBuilder().setChunk(ByteString.copyFrom(chunk)).build());
    }
    return UploadFinish.newBuilder().setSizeBytes(size).setSha256(hex(digest)).build();
  }

  /** Writes an asset to a file; throws when size or digest are not those of the asset. */
  Asset download(String name, Path path) throws Exception {
    var digest = MessageDigest.getInstance("SHA-256");
    var asset = Asset.getDefaultInstance();
    var size = 0L;
    try (var file = new FileOutputStream(path.toFile())) {
      var parts = assets.downloadAsset(DownloadAssetRequest.newBuilder().setName(name).build());
      while (parts.hasNext()) {
        var part = parts.read();
        if (part.hasAsset()) {
          asset = part.getAsset();
        }
        var chunk = part.getChunk().toByteArray();
        digest.update(chunk);
        size += chunk.length;
        file.write(chunk);
      }
    }
    if (size != asset.getSizeBytes() || !hex(digest).equals(asset.getSha256())) {
      throw new IOException(
          name + ": " + size + " bytes came of " + asset.getSizeBytes() + ", or their SHA-256 differs");
    }
    return asset;
  }

  private static String hex(MessageDigest digest) {
    return HexFormat.of().formatHex(digest.digest());
  }
}
