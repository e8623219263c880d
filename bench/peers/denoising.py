"""Trains a T5 from nothing by span corruption in torch: called by bench/denoising.ts, which wrote FOLDER/untrained and FOLDER/rows.safetensors
(`train.ids`, `train.labels`, and those of `evaluate`). Prints one line of JSON: held_out_loss, train_loss (mean of the last 50 steps)."""

from from_nothing import main
from transformers import T5ForConditionalGeneration

if __name__ == "__main__":
    main(T5ForConditionalGeneration)
