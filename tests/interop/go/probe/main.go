// Asks a server for its health as Kubernetes does, through grpc-go's own health client. The flags are those of
// grpc_health_probe that the tests use, and so are the exit codes: 2 no connection, 3 no answer, 4 not serving.
package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"flag"
	"fmt"
	"log"
	"os"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
)

var (
	addr    = flag.String("addr", "", "host:port")
	service = flag.String("service", "", "service to ask for; the whole server when empty")
	useTLS  = flag.Bool("tls", false, "use TLS")
	ca      = flag.String("tls-ca-cert", "", "certificates to trust (PEM)")
	cert    = flag.String("tls-client-cert", "", "certificate to present (PEM)")
	key     = flag.String("tls-client-key", "", "its key (PEM)")
	timeout = flag.Duration("connect-timeout", 5*time.Second, "for connecting and asking")
)

func main() {
	flag.Parse()
	ctx, cancel := context.WithTimeout(context.Background(), *timeout)
	defer cancel()
	answer, err := check(ctx)
	switch {
	case status.Code(err) == codes.Unavailable || status.Code(err) == codes.DeadlineExceeded:
		exit(2, err)
	case err != nil:
		exit(3, err)
	case answer.GetStatus() != grpc_health_v1.HealthCheckResponse_SERVING:
		exit(4, answer.GetStatus())
	}
	fmt.Println("status:", answer.GetStatus())
}

func check(ctx context.Context) (*grpc_health_v1.HealthCheckResponse, error) {
	connection, err := grpc.NewClient(*addr, grpc.WithTransportCredentials(transport()))
	if err != nil {
		return nil, err
	}
	defer connection.Close()
	request := &grpc_health_v1.HealthCheckRequest{Service: *service}
	return grpc_health_v1.NewHealthClient(connection).Check(ctx, request)
}

func transport() credentials.TransportCredentials {
	if !*useTLS {
		return insecure.NewCredentials()
	}
	pem, err := os.ReadFile(*ca)
	if err != nil {
		exit(1, err)
	}
	config := &tls.Config{RootCAs: x509.NewCertPool()}
	config.RootCAs.AppendCertsFromPEM(pem)
	if *cert != "" {
		pair, err := tls.LoadX509KeyPair(*cert, *key)
		if err != nil {
			exit(1, err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return credentials.NewTLS(config)
}

func exit(code int, why any) {
	log.SetFlags(0)
	log.Print(why)
	os.Exit(code)
}
