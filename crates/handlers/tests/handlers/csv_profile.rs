//! `csv.profile` as a whole, against exact answers.

use std::collections::{HashMap, HashSet};
use std::fmt::Write as _;

use crate::common::{MemoryFiles, final_code};
use proptest::prelude::*;
use serde_json::{Value, json};
use tasktonic_handlers::CsvProfile;
use tasktonic_handlers::csv::{COLUMNS_MAX, Profiler};
use tasktonic_worker::Failure;
use tasktonic_worker::testing::{Attempt, Ran};

async fn run(text: impl Into<Vec<u8>>, options: Value) -> (Ran, std::sync::Arc<MemoryFiles>) {
    let files = MemoryFiles::new();
    let mut payload = options;
    payload["file"] = files.put("table.csv", text.into()).into();
    let ran = Attempt::new(payload).files(files.clone()).run(&CsvProfile).await;
    (ran, files)
}

async fn profile(text: impl Into<Vec<u8>>) -> Value {
    run(text, json!({})).await.0.output()
}

#[tokio::test]
async fn a_small_table_is_described_exactly() {
    let found = profile(
        "id,name,price,sold,on,note\n\
         1,Ana,1.5,true,2024-01-31,\n\
         2,\"Bo, \"\"b\"\"\",2.5,false,2024-02-01,x\n\
         3,Ana,,true,2023-12-01,NULL\n",
    )
    .await;
    assert_eq!(
        (&found["rows"], &found["delimiter"], &found["columns_total"]),
        (&json!(3), &json!(","), &json!(6))
    );
    let columns = found["columns"].as_array().unwrap();
    let types: Vec<_> = columns.iter().map(|c| c["type"].as_str().unwrap()).collect();
    assert_eq!(types, ["integer", "text", "number", "boolean", "date", "text"]);
    assert_eq!(
        (&columns[0]["min"], &columns[0]["max"], &columns[0]["mean"], &columns[0]["median"]),
        (&json!(1), &json!(3), &json!(2.0), &json!(2.0))
    );
    assert_eq!(
        columns[1]["top"],
        json!([{ "value": "Ana", "count": 2 }, { "value": "Bo, \"b\"", "count": 1 }])
    );
    assert_eq!((&columns[1]["min_length"], &columns[1]["max_length"]), (&json!(3), &json!(7)));
    assert_eq!((&columns[2]["nulls"], &columns[2]["max"]), (&json!(1), &json!(2.5)));
    assert_eq!(
        (&columns[4]["min"], &columns[4]["max"]),
        (&json!("2023-12-01"), &json!("2024-02-01"))
    );
    assert_eq!((&columns[5]["nulls"], &columns[5]["distinct"]), (&json!(2), &json!(1)));
    assert!(found.get("notes").is_none(), "{found}");
}

#[tokio::test]
async fn tables_come_in_many_dresses() {
    for (text, options, rows, names) in [
        ("\u{FEFF}a;b\r\n1;2\r\n3;4", json!({}), 2, vec!["a", "b"]),
        ("a\tb\n1\t\"two\nlines\"\n", json!({}), 1, vec!["a", "b"]),
        ("1|2\n3|4\n", json!({ "header": false }), 2, vec!["column 1", "column 2"]),
        ("a;b,c\n1;2,3\n", json!({ "delimiter": "," }), 1, vec!["a;b", "c"]),
        ("x,x,,x\n1,2,3,4\n", json!({}), 1, vec!["x", "x (2)", "column 3", "x (3)"]),
        ("a,b\n", json!({}), 0, vec!["a", "b"]),
        ("a,b\n\n1,2\n\n\n3,4\n", json!({}), 2, vec!["a", "b"]),
        ("", json!({}), 0, vec![]),
        ("a,b\n1,2,3\n4\n", json!({}), 2, vec!["a", "b", "column 3"]),
    ] {
        let found = run(text, options).await.0.output();
        let found_names: Vec<_> = found["columns"]
            .as_array()
            .unwrap()
            .iter()
            .map(|c| c["name"].as_str().unwrap())
            .collect();
        assert_eq!(
            (found["rows"].as_u64().unwrap(), found_names),
            (rows, names),
            "{text:?} {found}"
        );
    }
}

#[tokio::test]
async fn uneven_rows_are_counted_and_missing_cells_are_null() {
    let found = profile("a,b\n1,2,3\n4\n5,6\n").await;
    let nulls: Vec<_> =
        found["columns"].as_array().unwrap().iter().map(|c| c["nulls"].as_u64().unwrap()).collect();
    assert_eq!(nulls, [0, 1, 2]);
    assert_eq!(found["notes"].as_array().unwrap().len(), 2, "{found}");
}

#[tokio::test]
async fn bytes_that_are_no_text_do_no_harm() {
    // Latin-1 from the beginning; what no text has, only behind what is looked at.
    let rows = 20_000;
    let text = [
        b"a,b\n\xE9t\xE9,1\n".as_slice(),
        &b"text,3\n".repeat(rows),
        b"\xFF\xFE,1\n",
        &[0, 159, 146, b',', b'2', b'\n'],
    ];
    let found = profile(text.concat()).await;
    assert_eq!(
        (&found["rows"], &found["columns"][1]["type"]),
        (&json!(rows + 3), &json!("integer"))
    );
}

#[tokio::test]
async fn what_is_no_csv_is_refused_for_good_with_advice() {
    for (bytes, word) in [
        (b"\xFF\xFEa\0,\0".to_vec(), "UTF-16"),
        (b"PK\x03\x04rest".to_vec(), "spreadsheet"),
        (b"\x1F\x8Brest".to_vec(), "compressed"),
        (b"\xFF\xD8\xFF\xE1\0\x10Exif\0\0".to_vec(), "is a JPEG photo, not a table"),
        (b"%PDF-1.4\n".to_vec(), "PDF"),
        (b"name,age\nana\0,30\n".to_vec(), "binary data"),
        // Where the first zero stands far behind.
        ([&b"a,b\n".repeat(10_000)[..], b"\0"].concat(), "binary data"),
    ] {
        let (ran, _) = run(bytes, json!({})).await;
        let (code, message) = final_code(&ran);
        assert!(code == "table_unreadable" && message.contains(word), "{message}");
    }
}

#[tokio::test]
async fn a_file_that_is_gone_is_final_and_an_unknown_field_too() {
    let ran = Attempt::new(json!({ "file": "A".repeat(22) }))
        .files(MemoryFiles::new())
        .run(&CsvProfile)
        .await;
    assert_eq!(final_code(&ran).0, "file_not_found");
    let ran = Attempt::new(json!({ "file": "short" })).run(&CsvProfile).await;
    assert_eq!(final_code(&ran).0, "payload_unreadable");
    let ran = Attempt::new(json!({ "file": "A".repeat(22), "sep": "," })).run(&CsvProfile).await;
    assert_eq!(final_code(&ran).0, "payload_unreadable");
}

#[tokio::test]
async fn progress_is_told_in_bytes_and_ends_at_the_size() {
    let text = "a,b\n".to_owned() + &"123456,some text\n".repeat(300_000);
    let size = text.len() as u64;
    let (ran, _) = run(text, json!({})).await;
    let last = ran.progress.last().unwrap();
    assert_eq!((last.done, last.total, last.unit.as_deref()), (size, size, Some("bytes")));
    assert!(ran.progress.len() >= 4, "{}", ran.progress.len());
    assert!(ran.progress.is_sorted_by_key(|p| p.done));
}

#[tokio::test]
async fn it_stops_when_cancelled() {
    let files = MemoryFiles::new();
    let file = files.put("a.csv", "a\n".repeat(1_000_000));
    let attempt = Attempt::new(json!({ "file": file })).files(files);
    attempt.cancel_token().cancel();
    assert_eq!(attempt.run(&CsvProfile).await.failure(), &Failure::Cancelled);
}

#[tokio::test]
async fn a_wide_table_keeps_its_whole_profile_as_a_file_and_an_output_that_fits() {
    let width = 300;
    let mut text = (0..width)
        .map(|n| format!("a rather long name of column {n}"))
        .collect::<Vec<_>>()
        .join(",");
    for row in 0..200_u64 {
        text.push('\n');
        let cells: Vec<_> =
            (0..width as u64).map(|n| ((row * 7_919 + n) % 97 * 1_000_003).to_string()).collect();
        text.push_str(&cells.join(","));
    }
    let (ran, files) = run(text, json!({})).await;
    let output = ran.output();
    assert!(output.to_string().len() <= 64 * 1024);
    assert_eq!(output["columns_total"], width);
    assert_eq!(output["profile"]["name"], "table-profile.json");
    assert!(output["notes"][0].as_str().unwrap().contains("256 of 300"), "{}", output["notes"]);
    let whole: Value =
        serde_json::from_slice(&files.bytes(output["profile"]["file"].as_str().unwrap())).unwrap();
    assert_eq!(whole["columns"].as_array().unwrap().len(), COLUMNS_MAX);
    assert!(whole["columns"][255]["median"].is_number());
}

#[tokio::test]
async fn a_quote_without_end_is_noticed() {
    let found = profile("a,b\n1,\"oops\n".to_owned() + &"2,3\n".repeat(20_000)).await;
    assert_eq!(found["rows"], 1);
    assert!(found["notes"][0].as_str().unwrap().contains("quote"), "{found}");
}

#[tokio::test]
async fn formulas_are_text_and_nothing_else() {
    let found = profile("a\n=1+1\n@SUM(A1:A9)\n=cmd|'/C calc'!A0\n").await;
    assert_eq!((&found["rows"], &found["columns"][0]["type"]), (&json!(3), &json!("text")));
}

#[test]
fn the_schema_asks_for_a_file_and_offers_delimiters() {
    let schema =
        schemars::schema_for!(<CsvProfile as tasktonic_worker::Handler>::Payload).to_value();
    assert_eq!(schema["properties"]["file"]["format"], "file", "{schema:#}");
    assert_eq!(schema["properties"]["header"]["default"], true);
    assert_eq!(schema["additionalProperties"], false);
    assert_eq!(schema["required"], json!(["file"]));
}

/// A column of cells of one sort, with repetitions.
fn cells() -> impl Strategy<Value = Vec<String>> {
    let sorts = prop_oneof![
        (1_u64..2_000_000).prop_map(|spread| (0_u8, spread)),
        (1_u64..2_000_000).prop_map(|spread| (1, spread)),
        (1_u64..2_000_000).prop_map(|spread| (2, spread)),
    ];
    (sorts, any::<u64>(), 1_usize..20_000, any::<bool>()).prop_map(
        |((sort, spread), seed, n, sorted)| {
            let mut state = seed | 1;
            let mut numbers: Vec<u64> = (0..n)
                .map(|_| {
                    state ^= state << 13;
                    state ^= state >> 7;
                    state ^= state << 17;
                    state % spread
                })
                .collect();
            if sorted {
                numbers.sort_unstable();
            }
            let cell = |number: u64| match (sort, number % 50) {
                (_, 49) => String::new(),
                (0, _) => number.to_string(),
                (1, _) => format!("{}.25", number as i64 - 1_000),
                _ => format!("v{number}"),
            };
            numbers.into_iter().map(cell).collect()
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]
    #[test]
    fn a_column_is_described_as_counting_would(cells in cells(), portion in 1_usize..5_000) {
        let mut text = "key,column\n".to_owned();
        for cell in &cells { writeln!(text, "k,{cell}").unwrap(); }
        let mut profiler = Profiler::new(None, true);
        for part in text.as_bytes().chunks(portion) { profiler.feed(part).unwrap(); }
        let report = profiler.finish().unwrap();
        let column = &report.columns[1];

        let filled: Vec<&str> = cells.iter().map(String::as_str).filter(|c| !c.is_empty()).collect();
        prop_assert_eq!(report.rows, cells.len() as u64);
        prop_assert_eq!(column.nulls as usize, cells.len() - filled.len());
        let distinct = filled.iter().collect::<HashSet<_>>().len() as f64;
        let off = (column.distinct as f64 - distinct).abs();
        prop_assert!(off <= if distinct <= 1024.0 { 0.0 } else { distinct * 0.02 }, "{} for {distinct}", column.distinct);

        let mut counts: HashMap<&str, u64> = HashMap::new();
        for cell in &filled { *counts.entry(cell).or_default() += 1; }
        for one in &column.top {
            let real = counts[one.value.as_str()];
            prop_assert!(one.count >= real && one.count - real <= column.top_error_max.unwrap_or(0));
        }
        if column.top_error_max.is_none() && !column.top.is_empty() {
            prop_assert_eq!(Some(&column.top[0].count), counts.values().max());
        }

        let mut numbers: Vec<f64> = filled.iter().filter_map(|c| c.parse().ok()).collect();
        if !numbers.is_empty() {
            numbers.sort_unstable_by(f64::total_cmp);
            let n = numbers.len() as f64;
            prop_assert_eq!(column.min.as_ref().unwrap().as_f64(), numbers.first().copied());
            prop_assert_eq!(column.max.as_ref().unwrap().as_f64(), numbers.last().copied());
            let mean = numbers.iter().sum::<f64>() / n;
            prop_assert!((column.mean.unwrap() - mean).abs() <= mean.abs() * 1e-9 + 1e-9);
            let quantiles = column.quantiles.unwrap();
            for (q, answer) in [(0.05, quantiles.p05), (0.25, quantiles.p25), (0.5, quantiles.median), (0.75, quantiles.p75), (0.95, quantiles.p95)] {
                let below = numbers.partition_point(|v| *v < answer) as f64 / n;
                let up_to = numbers.partition_point(|v| *v <= answer) as f64 / n;
                prop_assert!(q >= below - 0.01 && q <= up_to + 0.01, "{q}: {answer} stands at {below} to {up_to}");
            }
            let binned: u64 = column.histogram.iter().map(|bin| bin.count).sum();
            prop_assert!(column.histogram.is_empty() || binned == numbers.len() as u64);
            for bin in &column.histogram {
                let real = numbers.iter().filter(|v| **v > bin.from && **v <= bin.to).count() as f64;
                let real = if bin.from == numbers[0] { real + numbers.iter().filter(|v| **v == bin.from).count() as f64 } else { real };
                prop_assert!((bin.count as f64 - real).abs() <= n * 0.02, "{bin:?} holds {real}");
            }
        }
    }

    #[test]
    fn any_bytes_have_a_profile_or_a_refusal(
        bytes in proptest::collection::vec(prop_oneof![any::<u8>(), Just(b','), Just(b'"'), Just(b'\n')], 0..2_000),
        behind in any::<bool>(),
    ) {
        let mut profiler = Profiler::new(None, true);
        // Behind the beginning nothing is refused.
        if behind { profiler.feed(&b"a,b\n".repeat(20_000)).unwrap(); }
        let fed = profiler.feed(&bytes);
        prop_assert!(fed.is_ok() || !behind);
        if fed.is_ok() {
            let done = profiler.finish();
            prop_assert!(done.is_ok() || !behind);
        }
    }
}
