package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"google.golang.org/grpc"

	pb "example.com/apigpu/gen/apigpu/v1"
)

const chunkBytes = 512 * 1024

// upload stores a file and returns the name of the asset.
func upload(ctx context.Context, assets pb.AssetServiceClient, path string) (string, error) {
	file, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer file.Close()
	stream, err := assets.UploadAsset(ctx)
	if err != nil {
		return "", err
	}
	// io.EOF from a send says only that the server ended the call; CloseAndRecv says why.
	if err := send(stream, file); err != nil && err != io.EOF {
		return "", err
	}
	answer, err := stream.CloseAndRecv()
	return answer.GetAsset().GetName(), err
}

// send streams the header, the chunks and the finish.
func send(stream grpc.ClientStreamingClient[pb.UploadAssetRequest, pb.UploadAssetResponse], file *os.File) error {
	header := &pb.UploadHeader{Filename: filepath.Base(file.Name())}
	if err := stream.Send(&pb.UploadAssetRequest{Part: &pb.UploadAssetRequest_Header{Header: header}}); err != nil {
		return err
	}
	digest, size := sha256.New(), int64(0)
	for {
		chunk := make([]byte, chunkBytes)
		count, err := io.ReadFull(file, chunk)
		if err == io.EOF {
			break
		}
		if err != nil && err != io.ErrUnexpectedEOF {
			return err
		}
		digest.Write(chunk[:count])
		size += int64(count)
		if err := stream.Send(&pb.UploadAssetRequest{Part: &pb.UploadAssetRequest_Chunk{Chunk: chunk[:count]}}); err != nil {
			return err
		}
	}
	finish := &pb.UploadFinish{SizeBytes: &size, Sha256: hex.EncodeToString(digest.Sum(nil))}
	return stream.Send(&pb.UploadAssetRequest{Part: &pb.UploadAssetRequest_Finish{Finish: finish}})
}

// download writes an asset to a file; an error when size or digest are not those of the asset.
func download(ctx context.Context, assets pb.AssetServiceClient, name, path string) (*pb.Asset, error) {
	stream, err := assets.DownloadAsset(ctx, &pb.DownloadAssetRequest{Name: name})
	if err != nil {
		return nil, err
	}
	file, err := os.Create(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	var asset *pb.Asset
	digest, size := sha256.New(), int64(0)
	for {
		message, err := stream.Recv()
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, err
		}
		switch part := message.GetPart().(type) {
		case *pb.DownloadAssetResponse_Asset:
			asset = part.Asset
		case *pb.DownloadAssetResponse_Chunk:
			digest.Write(part.Chunk)
			size += int64(len(part.Chunk))
			if _, err := file.Write(part.Chunk); err != nil {
				return nil, err
			}
		}
	}
	if size != asset.GetSizeBytes() || hex.EncodeToString(digest.Sum(nil)) != asset.GetSha256() {
		return nil, fmt.Errorf("%s: %d bytes came of %d, or their SHA-256 differs", name, size, asset.GetSizeBytes())
	}
	return asset, file.Close()
}
