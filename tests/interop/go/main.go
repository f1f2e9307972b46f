// Captions a video: uploads it and its subtitles, follows the job, downloads the result. Or makes a captioned film of a still.
//
//	X_API_KEY=… client TARGET CERTS VIDEO SRT OUT
//	X_API_KEY=… client story TARGET CERTS STILL SRT OUT
//
// TARGET is host:port, CERTS a folder with ca.crt, client.crt and client.key.
package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"path/filepath"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"

	pb "example.com/apigpu/gen/apigpu/v1"
)

const deadline = 5 * time.Minute

func main() {
	log.SetFlags(0)
	arguments, operation := os.Args[1:], captionOf
	if len(arguments) == 6 && arguments[0] == "story" {
		arguments, operation = arguments[1:], storyOf
	}
	if len(arguments) != 5 {
		log.Fatal("usage: X_API_KEY=… client [story] TARGET CERTS VIDEO SRT OUT")
	}
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	defer cancel()
	ctx = metadata.AppendToOutgoingContext(ctx, "x-api-key", os.Getenv("X_API_KEY"))
	if err := run(ctx, operation, arguments[0], arguments[1], arguments[2], arguments[3], arguments[4]); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, operation operationOf, target, certs, picture, srt, out string) error {
	identity, err := mutualTLS(certs)
	if err != nil {
		return err
	}
	connection, err := grpc.NewClient(target, grpc.WithTransportCredentials(identity))
	if err != nil {
		return err
	}
	defer connection.Close()
	assets, jobs := pb.NewAssetServiceClient(connection), pb.NewJobServiceClient(connection)

	pictureName, err := upload(ctx, assets, picture)
	if err != nil {
		return err
	}
	srtName, err := upload(ctx, assets, srt)
	if err != nil {
		return err
	}
	job, err := result(ctx, jobs, operation(pictureName, srtName))
	if err != nil {
		return err
	}
	asset, err := download(ctx, assets, job.GetOutput().GetAsset(), out)
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(map[string]any{
		"job": job.GetId(), "status": job.GetStatus().String(), "bytes": asset.GetSizeBytes(), "sha256": asset.GetSha256(),
	})
}

// mutualTLS trusts ca.crt and presents client.crt.
func mutualTLS(folder string) (credentials.TransportCredentials, error) {
	certificate, err := tls.LoadX509KeyPair(filepath.Join(folder, "client.crt"), filepath.Join(folder, "client.key"))
	if err != nil {
		return nil, err
	}
	ca, err := os.ReadFile(filepath.Join(folder, "ca.crt"))
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(ca) {
		return nil, errors.New("no certificate in ca.crt")
	}
	return credentials.NewTLS(&tls.Config{Certificates: []tls.Certificate{certificate}, RootCAs: roots}), nil
}

// operationOf makes an operation of the names of a picture and of subtitles.
type operationOf func(picture, srt string) *pb.Operation

// captionOf burns the subtitles into a video.
func captionOf(video, srt string) *pb.Operation {
	request := &pb.CaptionRequest{UrlVideo: video, UrlSrt: srt}
	return &pb.Operation{Kind: &pb.Operation_Caption{Caption: request}}
}

// storyOf makes a film of two scenes of a still, which fade into each other, with the subtitles.
func storyOf(still, srt string) *pb.Operation {
	seconds, width, height := 1.5, uint32(320), uint32(180)
	request := &pb.StoryRequest{
		Scenes: []*pb.Scene{
			{Id: "first", ImageUrl: still, Duracao: &seconds},
			{Id: "second", ImageUrl: still, Duracao: &seconds},
		},
		UrlSrt:     srt,
		Transition: &pb.Transition{Kind: pb.TransitionKind_TRANSITION_KIND_CROSSFADE},
		Width:      &width,
		Height:     &height,
	}
	return &pb.Operation{Kind: &pb.Operation_Story{Story: request}}
}

// result waits for a job; an error when it does not complete.
func result(ctx context.Context, jobs pb.JobServiceClient, operation *pb.Operation) (*pb.Job, error) {
	submitted, err := jobs.SubmitJob(ctx, &pb.SubmitJobRequest{Operation: operation})
	if err != nil {
		return nil, err
	}
	job, err := watch(ctx, jobs, submitted.GetJob().GetId())
	if err != nil {
		return nil, err
	}
	if job.GetStatus() != pb.Job_COMPLETED {
		return nil, fmt.Errorf("job %s: %s: %s", job.GetId(), job.GetStatus(), job.GetError().GetMessage())
	}
	return job, nil
}

// watch follows a job to its end.
func watch(ctx context.Context, jobs pb.JobServiceClient, id string) (*pb.Job, error) {
	events, err := jobs.WatchJob(ctx, &pb.WatchJobRequest{Id: id})
	if err != nil {
		return nil, err
	}
	for count := 0; ; {
		message, err := events.Recv()
		if err == io.EOF {
			return nil, fmt.Errorf("job %s: the watch ended before the job", id)
		}
		if err != nil {
			return nil, err
		}
		switch event := message.GetEvent().(type) {
		case *pb.WatchJobResponse_Progress:
			count++
		case *pb.WatchJobResponse_Finished:
			log.Printf("%d progress events, %s", count, event.Finished.GetStatus())
			return event.Finished, nil
		}
	}
}
