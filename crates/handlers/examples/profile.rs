//! What is in a table, from the command line: `cargo run --release --example profile -- FILE`. The
//! profile goes to standard output, the speed to standard error.

use std::fs::File;
use std::io::Read as _;
use std::time::Instant;

use tasktonic_handlers::csv::Profiler;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::args_os().nth(1).ok_or("name a CSV file")?;
    let mut file = File::open(path)?;
    let since = Instant::now();
    let mut profiler = Profiler::new(None, true);
    let mut portion = vec![0; 64 * 1024];
    loop {
        let read = file.read(&mut portion)?;
        if read == 0 {
            break;
        }
        profiler.feed(&portion[..read])?;
    }
    let bytes = profiler.bytes();
    let report = profiler.finish()?;
    let seconds = since.elapsed().as_secs_f64();
    println!("{}", serde_json::to_string_pretty(&report)?);
    eprintln!("{} rows, {:.1} MB/s", report.rows, bytes as f64 / 1e6 / seconds);
    Ok(())
}
