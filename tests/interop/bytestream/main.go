// Uploads a file with Google's own package of ByteStream, breaks off half-way, goes on, and reads it back:
// bytestream TARGET CERTIFICATES FILE. The key is in X_API_KEY. Prints the asset's name.
package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log"
	"os"
	"path/filepath"

	"google.golang.org/genproto/googleapis/bytestream"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

const chunkBytes = 1 << 20

func main() {
	log.SetFlags(0)
	target, certificates, path := os.Args[1], os.Args[2], os.Args[3]
	data, err := os.ReadFile(path)
	check(err)
	connection, err := grpc.NewClient(target, grpc.WithTransportCredentials(identity(certificates)))
	check(err)
	defer connection.Close()
	client := bytestream.NewByteStreamClient(connection)
	ctx := metadata.AppendToOutgoingContext(context.Background(), "x-api-key", os.Getenv("X_API_KEY"))
	name := fmt.Sprintf("uploads/go-%d-upload/blobs/%x/%d/%s", os.Getpid(), sha256.Sum256(data), len(data), filepath.Base(path))

	_, err = client.QueryWriteStatus(ctx, &bytestream.QueryWriteStatusRequest{ResourceName: name})
	expect(status.Code(err) == codes.NotFound, "an upload that nothing was written to is there: %v", err)
	kept, _ := write(ctx, client, name, data, 0, len(data)/2)
	expect(kept == int64(len(data)/2), "%d bytes are kept", kept)
	_, err = client.Read(ctx, &bytestream.ReadRequest{ResourceName: name})
	check(err)
	state, err := client.QueryWriteStatus(ctx, &bytestream.QueryWriteStatusRequest{ResourceName: name})
	check(err)
	expect(state.CommittedSize == kept && !state.Complete, "the status is %v", state)
	kept, asset := write(ctx, client, name, data, int(state.CommittedSize), len(data))
	expect(kept == int64(len(data)), "%d bytes are kept", kept)
	state, err = client.QueryWriteStatus(ctx, &bytestream.QueryWriteStatusRequest{ResourceName: name})
	check(err)
	expect(state.Complete, "the upload is not complete")
	expect(bytes.Equal(read(ctx, client, asset, 0, 0), data), "other bytes came back")
	expect(bytes.Equal(read(ctx, client, asset, 5, 7), data[5:12]), "other bytes came back of a range")
	fmt.Println(asset)
}

// write sends the bytes from begin to end, and finishes the upload if these are the last; it returns what is kept, and
// the asset.
func write(ctx context.Context, client bytestream.ByteStreamClient, name string, data []byte, begin, end int) (int64, string) {
	stream, err := client.Write(ctx)
	check(err)
	for at := begin; at < end; at += chunkBytes {
		next := min(at+chunkBytes, end)
		request := &bytestream.WriteRequest{ResourceName: name, WriteOffset: int64(at), Data: data[at:next], FinishWrite: next == len(data)}
		check(stream.Send(request))
	}
	answer, err := stream.CloseAndRecv()
	check(err)
	return answer.CommittedSize, firstOf(stream.Trailer().Get("upload-asset"))
}

func read(ctx context.Context, client bytestream.ByteStreamClient, name string, offset, limit int64) []byte {
	stream, err := client.Read(ctx, &bytestream.ReadRequest{ResourceName: name, ReadOffset: offset, ReadLimit: limit})
	check(err)
	var content []byte
	for {
		part, err := stream.Recv()
		if err == io.EOF {
			return content
		}
		check(err)
		content = append(content, part.Data...)
	}
}

func identity(folder string) credentials.TransportCredentials {
	certificate, err := tls.LoadX509KeyPair(filepath.Join(folder, "client.crt"), filepath.Join(folder, "client.key"))
	check(err)
	authority, err := os.ReadFile(filepath.Join(folder, "ca.crt"))
	check(err)
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(authority)
	return credentials.NewTLS(&tls.Config{Certificates: []tls.Certificate{certificate}, RootCAs: roots})
}

func firstOf(values []string) string {
	if len(values) == 0 {
		return ""
	}
	return values[0]
}

func expect(isTrue bool, format string, values ...any) {
	if !isTrue {
		log.Fatalf(format, values...)
	}
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
