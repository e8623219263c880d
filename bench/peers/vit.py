"""Trains a ViT from nothing on drawings: called by bench/pictures.ts, which wrote FOLDER/untrained and FOLDER/rows.safetensors: `pixels` and
`labels`, the `order` of training, and the held-out pixels of each vendor. Prints one line of JSON: the classes that it tells there."""

import json

import torch
from from_nothing import begin, last, settings, train
from transformers import ViTForImageClassification


def main():
    args = settings()
    model, rows = begin(ViTForImageClassification, args.folder)
    batches = ({"pixel_values": rows["pixels"][own], "labels": rows["labels"][own]} for own in rows["order"].split(args.batch))
    losses, _ = train(model, batches, args)
    with torch.no_grad():
        told = {vendor: model(pixel_values=rows[vendor]).logits.argmax(-1).tolist() for vendor in ("google", "twitter")}
    print(json.dumps({**told, "train_loss": last(losses)}))


if __name__ == "__main__":
    main()
