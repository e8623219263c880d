"""Golden answers about pictures: what transformers' pipelines "image-classification" and "zero-shot-image-classification" make of pictures with
tiny random models and Pillow's image processors.

Run from the repository's root:  python test/golden/make_picture_answers.py
Made with transformers 5.24.0. Writes answers/vit/, answers/clip/, answers/siglip/: a model, its preprocessor_config.json, and answers.json.
The pictures are those of images/, the tokenizer that of answers/pieces/.
"""
import json
import shutil

from transformers import (CLIPConfig, CLIPImageProcessorPil, CLIPModel, PreTrainedTokenizerFast, SiglipConfig, SiglipImageProcessorPil, SiglipModel,
                          ViTConfig, ViTForImageClassification, ViTImageProcessorPil, pipeline)

from families import build
from reference import HERE

TOWER = dict(hidden_size=8, num_hidden_layers=2, num_attention_heads=2, intermediate_size=12)
VISION = dict(TOWER, image_size=12, patch_size=4)
PICTURES = ["rgb.png", "grey.jpg", "turned-6.jpg", "palette.png"]
LABELS = ["London", "the minutes of the town hall", "Zürich"]
SIZE = {"height": 12, "width": 12}


def text(end, positions):
    return dict(TOWER, vocab_size=400, max_position_embeddings=positions, bos_token_id=2, eos_token_id=end, pad_token_id=0)


def write(name, model, processor, rows):
    folder = HERE / "answers" / name
    shutil.rmtree(folder, ignore_errors=True)
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    (folder / "answers.json").write_text("[\n" + ",\n".join(json.dumps(row, separators=(",", ":"), ensure_ascii=False) for row in rows) + "\n]\n")


def tokenizer_of(**more):
    return PreTrainedTokenizerFast.from_pretrained(HERE / "answers" / "pieces", **more)


def classes():
    names = {0: "boat", 1: "house", 2: "tree", 3: "cloud"}
    model = build(ViTForImageClassification, ViTConfig(**VISION, id2label=names, label2id={name: id for id, name in names.items()}), 3)
    processor = ViTImageProcessorPil(size=SIZE)
    run = pipeline("image-classification", model=model, image_processor=processor, device="cpu")
    write("vit", model, processor, [{"picture": picture, "scores": {each["label"]: each["score"] for each in run(str(HERE / "images" / picture), top_k=4)}} for picture in PICTURES])


def zero_shot(name, model, processor, tokenizer):
    model.logit_scale.data.fill_(3.0)
    if hasattr(model, "logit_bias"):
        model.logit_bias.data.fill_(-4.0)
    run = pipeline("zero-shot-image-classification", model=model, image_processor=processor, tokenizer=tokenizer, device="cpu")
    rows = []
    for template in (None, "a photo of a {}"):
        options = {} if template is None else {"hypothesis_template": template}
        for picture in PICTURES:
            found = run(str(HERE / "images" / picture), candidate_labels=LABELS, **options)
            rows.append({"picture": picture, "template": template, "scores": {each["label"]: each["score"] for each in found}})
    write(name, model, processor, rows)


classes()
zero_shot(
    "clip", build(CLIPModel, CLIPConfig(text_config=text(3, 40), vision_config=VISION, projection_dim=6), 5),
    CLIPImageProcessorPil(size={"shortest_edge": 12}, crop_size=SIZE), tokenizer_of(),
)
zero_shot(
    "siglip", build(SiglipModel, SiglipConfig(text_config=text(3, 64), vision_config=VISION), 7),
    SiglipImageProcessorPil(size=SIZE), tokenizer_of(model_input_names=["input_ids"]),
)
