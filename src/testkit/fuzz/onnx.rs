//! What is read of model files before ONNX Runtime sees them.

/// `data` as an ONNX file: read, checked, and written again for another size and in
/// 8 bits.
pub fn onnx(data: &[u8]) {
    let checked = facesr::internals::onnx::reject_unsafe(data);
    let Ok(declared) = facesr::internals::onnx::signature(data) else { return };
    let outputs: Vec<String> = declared.outputs.iter().map(|v| v.name.clone()).collect();
    let wanted = &outputs[..outputs.len().min(4)];
    let Ok(written) =
        facesr::internals::onnx::with_fixed_input(data, "input", &[1, 3, 32, 64], wanted)
    else {
        return;
    };
    assert!(written.len() <= data.len() + 4096 + 64 * data.len());
    let again = facesr::internals::onnx::signature(&written)
        .unwrap_or_else(|e| panic!("not read again: {e}"));
    assert!(again.outputs.iter().all(|v| wanted.contains(&v.name)));
    // What was refused stays refused: the nodes and weights are the same.
    assert_eq!(checked.is_ok(), facesr::internals::onnx::reject_unsafe(&written).is_ok());

    let table: String = outputs.iter().map(|name| format!("{name},-1,2\n")).collect();
    let Ok(ranges) = facesr::internals::onnx::Ranges::parse(&table) else { return };
    let Ok(written) = facesr::internals::onnx::quantized(data, &ranges) else { return };
    let again = facesr::internals::onnx::signature(&written)
        .unwrap_or_else(|e| panic!("not read again: {e}"));
    assert_eq!(again.outputs, declared.outputs);
}
