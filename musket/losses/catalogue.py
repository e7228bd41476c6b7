"""Names of losses and of activations. Imports no torch: the code stands behind "module:attribute".

Facts of a loss, all optional:
    truth: "same" (truth and prediction have one shape) or "index" (truth holds class numbers). A user's own loss has
        none and is handed whatever the data gives.
    hard: truth is 0 or 1, or a class number; nothing between is understood.
    on_logits: for some activations, the form of the loss that takes logits instead; numerically better, same value.
    takes_logits: the loss is defined on logits only; ``on_probabilities`` is then a form for sigmoid outputs.
    class_weights: True if every form takes ``class_weights=``, a number per class.
    of: as metrics, the heads they make sense for; see the catalogue of metrics.
    constant_over_one: "class" if over one class it teaches nothing, "value" if over one value (a vector of one class).
    reduction: "sum" for a loss that sums over the batch instead of taking the mean.
    mode: "min", or "max" for a score that must be subtracted to be of use as a loss.
"""

from __future__ import annotations

from musket.core.registry import Registry

LOSSES = Registry("loss", "losses")
ACTIVATIONS = Registry("activation")


def _fill() -> None:
    entropy, overlap, distance = (f"musket.losses.{module}" for module in ("crossentropy", "overlap", "distance"))
    own = {"truth": "same", "mode": "min"}
    of_classes, of_values = {**own, "of": "classes"}, {**own, "of": "values"}
    add = LOSSES.add

    add(
        "binary_crossentropy",
        f"{entropy}:binary_crossentropy",
        "Cross-entropy of every value on its own; for sigmoid outputs.",
        aliases=("log_loss",),
        on_logits={"sigmoid": f"{entropy}:binary_crossentropy_on_logits"},
        class_weights=True,
        **of_classes,
    )
    add(
        "categorical_crossentropy",
        f"{entropy}:categorical_crossentropy",
        "Cross-entropy over exclusive classes, truth one channel per class; for softmax outputs.",
        on_logits={"softmax": f"{entropy}:categorical_crossentropy_on_logits"},
        class_weights=True,
        constant_over_one="class",
        of="exclusive",
        **own,
    )
    add(
        "sparse_categorical_crossentropy",
        f"{entropy}:sparse_categorical_crossentropy",
        "Cross-entropy over exclusive classes, truth given as class numbers (or one channel per class).",
        on_logits={"softmax": f"{entropy}:sparse_categorical_crossentropy_on_logits"},
        class_weights=True,
        constant_over_one="class",
        of="exclusive",
        truth="index",
        hard=True,
        mode="min",
    )
    add(
        "focal_loss",
        f"{entropy}:focal_loss",
        "Cross-entropy that looks away from easy pixels, SUMMED over the batch: needs a small lr.",
        on_logits={"sigmoid": f"{entropy}:focal_loss_on_logits"},
        class_weights=True,
        reduction="sum",
        **of_classes,
    )

    add(
        "soft_dice_loss",
        f"{overlap}:soft_dice_loss",
        "1 - soft Dice over each whole image; the usual Dice loss.",
        **of_classes,
    )
    add(
        "soft_jaccard_loss",
        f"{overlap}:soft_jaccard_loss",
        "1 - soft IoU of each whole image; the usual Jaccard loss.",
        **of_classes,
    )
    add(
        "dice_loss",
        f"{overlap}:dice_loss",
        "1 - Dice over the classes of each pixel; see soft_dice_loss.",
        **of_classes,
    )
    add(
        "jaccard_loss",
        f"{overlap}:jaccard_loss",
        "Smoothed Jaccard distance over the classes of each pixel, times 100; see soft_jaccard_loss.",
        **of_classes,
    )
    add(
        "iou_loss",
        f"{overlap}:iou_loss",
        "Minus iou_coef: soft overlap of each image, -1 when perfect.",
        constant_over_one="value",
        **of_classes,
    )
    add(
        "iou_coef",
        f"{overlap}:iou_coef",
        "Soft overlap of each image, 1 when perfect; as a loss it must be subtracted.",
        aliases=("iou",),
        constant_over_one="value",
        truth="same",
        mode="max",
        of="classes",
    )
    add("f1_loss", f"{overlap}:f1_loss", "1 - soft F1, per class over the batch.", **of_classes)
    add(
        "lovasz_loss",
        f"{overlap}:lovasz_loss",
        "Lovasz hinge: a convex stand-in for 1 - IoU of each image, on logits.",
        takes_logits=True,
        on_probabilities=f"{overlap}:lovasz_of_probabilities",
        hard=True,
        **of_classes,
    )

    add("mean_squared_error", f"{distance}:mean_squared_error", "Mean of (t - p)^2.", aliases=("mse",), **of_values)
    add("mean_absolute_error", f"{distance}:mean_absolute_error", "Mean of |t - p|.", aliases=("mae",), **of_values)
    add(
        "mean_absolute_percentage_error",
        f"{distance}:mean_absolute_percentage_error",
        "Mean of 100 |t - p| / |t|; for targets away from 0.",
        aliases=("mape",),
        **of_values,
    )
    add(
        "mean_squared_logarithmic_error",
        f"{distance}:mean_squared_logarithmic_error",
        "Mean of (log(1 + t) - log(1 + p))^2; for counts and sizes.",
        aliases=("msle",),
        **of_values,
    )
    add("l2_loss", f"{distance}:l2_loss", "SUM of (t - p)^2 over the batch.", reduction="sum", **of_values)
    add("logcosh", f"{distance}:logcosh", "Mean of log cosh(p - t): squared near 0, absolute far off.", **of_values)
    add(
        "huber",
        f"{distance}:huber",
        "Mean of (t - p)^2 / 2 where that is below 1/2, else |t - p| - 1/2: squared near 0, absolute far off.",
        aliases=("huber_loss", "smooth_l1"),
        **of_values,
    )
    add("hinge", f"{distance}:hinge", "Mean of max(0, 1 - t p), truth taken as -1 and 1.", **own)
    add("squared_hinge", f"{distance}:squared_hinge", "Mean of max(0, 1 - t p)^2, truth taken as -1 and 1.", **own)
    add(
        "categorical_hinge",
        f"{distance}:categorical_hinge",
        "Margin between the true class and the best other one.",
        **of_classes,
    )
    add("poisson", f"{distance}:poisson", "Mean of p - t log p, for counts.", **of_values)
    add(
        "kullback_leibler_divergence",
        f"{distance}:kullback_leibler_divergence",
        "Sum over classes of t log(t / p), mean over pixels.",
        aliases=("kld",),
        constant_over_one="class",
        **of_classes,
    )
    add(
        "cosine_proximity",
        f"{distance}:cosine_proximity",
        "Minus the cosine between truth and prediction over the classes of each pixel.",
        aliases=("cosine",),
        constant_over_one="class",
        **own,
    )

    functions = "musket.losses.activations"
    activation = ACTIVATIONS.add
    activation("linear", f"{functions}:linear", "The logits as they are.", aliases=("none",))
    activation("sigmoid", "torch:sigmoid", "Each class on its own, 0..1.")
    activation("softmax", f"{functions}:softmax", "Exclusive classes: 0..1, sum 1 over the class axis.")
    activation("tanh", "torch:tanh", "-1..1.")
    activation("relu", "torch:relu", "max(0, x).")
    activation("elu", "torch.nn.functional:elu", "x above 0, exp(x) - 1 below.")
    activation("selu", "torch.nn.functional:selu", "Scaled elu.")
    activation("softplus", "torch.nn.functional:softplus", "log(1 + exp(x)), above 0.")
    activation("softsign", "torch.nn.functional:softsign", "x / (1 + |x|), -1..1.")
    activation("exponential", "torch:exp", "exp(x), above 0.")
    activation("hard_sigmoid", f"{functions}:hard_sigmoid", "0.2 x + 0.5, cut to 0..1.")


_fill()
