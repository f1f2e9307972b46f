package example;

import apigpu.v1.AssetServiceGrpc;
import apigpu.v1.JobServiceGrpc;
import apigpu.v1.JobServiceGrpc.JobServiceBlockingV2Stub;
import apigpu.v1.Jobs.Job;
import apigpu.v1.Jobs.SubmitJobRequest;
import apigpu.v1.Jobs.WatchJobRequest;
import apigpu.v1.VideoOuterClass.CaptionRequest;
import apigpu.v1.VideoOuterClass.Operation;
import io.grpc.Channel;
import io.grpc.ChannelCredentials;
import io.grpc.ClientInterceptor;
import io.grpc.Grpc;
import io.grpc.Metadata;
import io.grpc.StatusException;
import io.grpc.TlsChannelCredentials;
import io.grpc.stub.MetadataUtils;
import java.io.IOException;
import java.nio.file.Path;
import java.util.concurrent.TimeUnit;

/**
 * Captions a video: uploads it and its subtitles, follows the job, downloads the result.
 *
 * <pre>X_API_KEY=… java -cp 'target/classes:target/lib/*' example.Client TARGET CERTS VIDEO SRT OUT</pre>
 *
 * TARGET is host:port, CERTS a folder with ca.crt, client.crt and client.key.
 */
public final class Client {
  private static final int DEADLINE_SECONDS = 300;
  private static final Metadata.Key<String> API_KEY = Metadata.Key.of("x-api-key", Metadata.ASCII_STRING_MARSHALLER);

  public static void main(String[] args) throws Exception {
    if (args.length != 5) {
      System.err.println("usage: X_API_KEY=… java example.Client TARGET CERTS VIDEO SRT OUT");
      System.exit(2);
    }
    var channel = Grpc.newChannelBuilder(args[0], mutualTls(Path.of(args[1])))
        .intercept(withKey(System.getenv().getOrDefault("X_API_KEY", "")))
        .build();
    try {
      run(channel, Path.of(args[2]), Path.of(args[3]), Path.of(args[4]));
    } catch (StatusException | IOException error) {
      System.err.println(error); // of gRPC: "io.grpc.StatusException: UNAUTHENTICATED: …"
      System.exit(1);
    } finally {
      channel.shutdownNow();
    }
  }

  private static void run(Channel channel, Path video, Path srt, Path out) throws Exception {
    var assets = AssetServiceGrpc.newBlockingV2Stub(channel).withDeadlineAfter(DEADLINE_SECONDS, TimeUnit.SECONDS);
    var jobs = JobServiceGrpc.newBlockingV2Stub(channel).withDeadlineAfter(DEADLINE_SECONDS, TimeUnit.SECONDS);
    var files = new Files(assets);
    var job = caption(jobs, files.upload(video), files.upload(srt));
    var asset = files.download(job.getOutput().getAsset(), out);
    System.out.printf("{\"job\":\"%s\",\"status\":\"%s\",\"bytes\":%d,\"sha256\":\"%s\"}%n",
        job.getId(), job.getStatus(), asset.getSizeBytes(), asset.getSha256());
  }

  /** Trusts ca.crt and presents client.crt. */
  private static ChannelCredentials mutualTls(Path folder) throws IOException {
    return TlsChannelCredentials.newBuilder()
        .trustManager(folder.resolve("ca.crt").toFile())
        .keyManager(folder.resolve("client.crt").toFile(), folder.resolve("client.key").toFile())
        .build();
  }

  /** Sends the key with every call. */
  private static ClientInterceptor withKey(String key) {
    var metadata = new Metadata();
    metadata.put(API_KEY, key);
    return MetadataUtils.newAttachHeadersInterceptor(metadata);
  }

  /** Burns the subtitles in and waits; throws when the job does not complete. */
  private static Job caption(JobServiceBlockingV2Stub jobs, String video, String srt) throws Exception {
    var request = CaptionRequest.newBuilder().setUrlVideo(video).setUrlSrt(srt);
    var operation = Operation.newBuilder().setCaption(request);
    var submitted = jobs.submitJob(SubmitJobRequest.newBuilder().setOperation(operation).build());
    var job = watch(jobs, submitted.getJob().getId());
    if (job.getStatus() != Job.Status.COMPLETED) {
      throw new IOException("job " + job.getId() + ": " + job.getStatus() + ": " + job.getError().getMessage());
    }
    return job;
  }

  /** Follows a job to its end. */
  private static Job watch(JobServiceBlockingV2Stub jobs, String id) throws Exception {
    var progress = 0;
    var events = jobs.watchJob(WatchJobRequest.newBuilder().setId(id).build());
    while (events.hasNext()) {
      var event = events.read();
      if (event.hasProgress()) {
        progress++;
      }
      if (event.hasFinished()) {
        System.err.printf("%d progress events, %s%n", progress, event.getFinished().getStatus());
        return event.getFinished();
      }
    }
    throw new IOException("job " + id + ": the watch ended before the job");
  }
}
