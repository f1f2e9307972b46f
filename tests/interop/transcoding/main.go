// Serves the JSON surface of rules.proto by grpc-gateway, as it comes, in front of a gRPC server.
package main

import (
	"context"
	"log"
	"net/http"
	"os"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"example.com/transcoding/gen"
)

func main() {
	if len(os.Args) != 3 {
		log.Fatal("usage: gateway UPSTREAM LISTEN")
	}
	log.Fatal(serve(os.Args[1], os.Args[2]))
}

func serve(upstream, listen string) error {
	mux := runtime.NewServeMux()
	options := []grpc.DialOption{grpc.WithTransportCredentials(insecure.NewCredentials())}
	if err := gen.RegisterRuleServiceHandlerFromEndpoint(context.Background(), mux, upstream, options); err != nil {
		return err
	}
	return http.ListenAndServe(listen, mux)
}
