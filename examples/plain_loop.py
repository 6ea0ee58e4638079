"""Train an installed model on an installed dataset with a loop of your own."""

import argparse
import json

import fer_core
import torch
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="dan", choices=fer_core.list_models(), metavar="NAME")
    parser.add_argument("--dataset", default="synthetic", choices=fer_core.list_datasets(), metavar="NAME")
    parser.add_argument("--data", help="folder of the dataset")
    parser.add_argument("--options", type=json.loads, default={}, help="of the dataset, as JSON")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--input-size", type=int, default=224)
    args = parser.parse_args()

    torch.manual_seed(0)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    dataset = fer_core.open_dataset(args.dataset, args.data, **args.options)
    train = dataset.as_torch("train", train=True, input_size=args.input_size)
    val = dataset.as_torch("val", input_size=args.input_size)
    model = fer_core.create_model(args.model, classes=dataset.classes, input_size=args.input_size).to(device)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)

    for epoch in range(args.epochs):
        model.train()
        for images, labels in DataLoader(train, args.batch_size, shuffle=True, drop_last=True):
            loss = cross_entropy(model(images.to(device))["logits"], labels.to(device))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

        model.eval()
        right = 0
        with torch.no_grad():
            for images, labels in DataLoader(val, args.batch_size):
                right += (model(images.to(device))["logits"].cpu().argmax(1) == labels).sum().item()
        print(f"epoch {epoch}: loss {loss.item():.3f}, validation accuracy {right / len(val):.1%}")


if __name__ == "__main__":
    main()
