//! Generates the clients from the protos of this repository; PROTOC names the compiler when it is not on the path.

const PROTOS: &str = "../../../protos";

fn main() -> std::io::Result<()> {
    println!("cargo:rerun-if-changed={PROTOS}");
    let files = ["assets", "jobs"].map(|name| format!("{PROTOS}/apigpu/v1/{name}.proto"));
    tonic_prost_build::configure().build_server(false).compile_protos(&files, &[PROTOS.into()])
}
