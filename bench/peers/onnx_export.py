"""Optimum's export of a model, and onnxruntime's own quantiser on any file of it.

    onnx_export.py export MODEL FOLDER TASK     FOLDER/model.onnx, as Optimum writes it
    onnx_export.py q8 FILE OTHER                weights in 8 bits, each row with a scale; x by one scale found as it comes
    onnx_export.py q4 FILE OTHER                weights of products in 4 bits, a scale for each 32 numbers"""

import sys

what, source, target = sys.argv[1:4]
if what == "export":
    from optimum.exporters.onnx import main_export

    main_export(source, target, task=sys.argv[4], do_validation=False, no_post_process=False)
elif what == "q8":
    from onnxruntime.quantization import QuantType, quantize_dynamic

    quantize_dynamic(source, target, per_channel=True, weight_type=QuantType.QUInt8, extra_options={"EnableSubgraph": True})
else:
    import onnx
    from onnxruntime.quantization.matmul_nbits_quantizer import MatMulNBitsQuantizer

    quantiser = MatMulNBitsQuantizer(onnx.load(source), block_size=32, is_symmetric=True)
    quantiser.process()
    quantiser.model.save_model_to_file(target)
