//! `Content-Encoding`: every body is read to its end, or refused.

use std::io::Write;

use flate2::{
    Compression,
    write::{GzEncoder, ZlibEncoder},
};

use super::{JSON, V2, gateway, routes, send, sentence, without_token};
use crate::support::{TestGateway, table};

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn deflate(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[tokio::test]
async fn every_member_of_a_compressed_body_is_read_on_every_route() {
    let gateway = gateway().await;
    table::each_async(routes(), async |(path, kind, body)| {
        let body = body.as_bytes();
        let plain = send(&gateway, path, kind, &[], body).await;
        assert_eq!(plain.status, 200, "{path}: {plain:?}");
        let expected = without_token(plain);
        let (begin, end) = body.split_at(body.len() / 2);
        let cases = [
            ("gzip", gzip(body)),
            ("gzip", [gzip(begin), gzip(end)].concat()),
            ("GZIP", [gzip(b""), gzip(body), gzip(b"")].concat()),
            ("x-gzip", gzip(body)),
            ("deflate", deflate(body)),
            ("Deflate", deflate(body)),
            ("identity", body.to_vec()),
            ("identity, gzip", gzip(body)),
        ];
        table::each_async(cases, async |(encoding, coded)| {
            let answer = send(&gateway, path, kind, &[("content-encoding", encoding)], coded).await;
            assert_eq!(answer.status, 200, "{path}, {encoding}: {answer:?}");
            assert_eq!(without_token(answer), expected, "{path}, {encoding}");
        })
        .await;
    })
    .await;
}

#[tokio::test]
async fn a_damaged_compressed_body_is_400_on_every_route() {
    let gateway = gateway().await;
    table::each_async(routes(), async |(path, kind, body)| {
        let (whole, flat) = (gzip(body.as_bytes()), deflate(body.as_bytes()));
        let mut altered = whole.clone();
        let checksum = altered.len() - 6;
        altered[checksum] ^= 1;
        let cases = [
            ("gzip", whole[..whole.len() - 3].to_vec()),
            ("gzip", whole[..12].to_vec()),
            ("gzip", altered.clone()),
            ("gzip", [whole.as_slice(), &altered].concat()),
            ("gzip", [whole.as_slice(), &whole[..9]].concat()),
            ("gzip", [whole.as_slice(), b"6.7,3.0,5.2,2.3\n"].concat()),
            ("gzip", body.clone().into_bytes()),
            ("deflate", flat[..flat.len() - 3].to_vec()),
            ("deflate", [flat.as_slice(), &flat].concat()),
            ("deflate", whole.clone()),
        ];
        table::each_async(cases, async |(encoding, coded)| {
            let answer = send(&gateway, path, kind, &[("content-encoding", encoding)], coded).await;
            assert_eq!(answer.status, 400, "{path}, {encoding}: {answer:?}");
            assert!(sentence(&answer).contains(encoding), "{path}: {answer:?}");
        })
        .await;
    })
    .await;
}

#[tokio::test]
async fn an_encoding_that_is_not_known_is_415_and_named_with_those_that_are() {
    let gateway = gateway().await;
    table::each_async(routes(), async |(path, kind, body)| {
        table::each_async(["br", "zstd", "gzip, gzip", "deflate, gzip"], async |encoding| {
            let answer = send(&gateway, path, kind, &[("content-encoding", encoding)], body.as_str()).await;
            assert_eq!(answer.status, 415, "{path}, {encoding}: {answer:?}");
            assert_eq!(answer.header("accept-encoding"), "gzip, deflate", "{path}");
            let said = sentence(&answer);
            assert!(said.contains(encoding) && said.contains("gzip or deflate"), "{path}: {answer:?}");
        })
        .await;
    })
    .await;
    // What has no body has no encoding.
    let request = gateway.get("/models").header("content-encoding", "br");
    assert_eq!(request.send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn the_limit_of_a_body_holds_over_all_its_members_together() {
    let gateway = TestGateway::builder()
        .settings(|settings| {
            settings.server.max_body_bytes = 20_000;
            settings.server.max_tensor_body_bytes = 20_000;
        })
        .start()
        .await;
    let cases =
        [("/models/iris/predict", r#"{"features":[5.1,3.5,1.4,0.2]}"#), ("/v2/models/iris/infer", V2)];
    table::each_async(cases, async |(path, body)| {
        let blank = gzip(&[b' '; 9_000]);
        for (blanks, status) in [(2, 200), (3, 413), (100, 413)] {
            let members = [blank.repeat(blanks), gzip(body.as_bytes())].concat();
            assert!(members.len() < 20_000, "the limit of what comes is not what is met");
            let answer = send(&gateway, path, JSON, &[("content-encoding", "gzip")], members).await;
            assert_eq!(answer.status, status, "{path}, {blanks}: {answer:?}");
        }
    })
    .await;
}
