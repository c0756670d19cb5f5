"""Measurements of a start, before any training, and of what training made of it: what a paper says, checked on it."""

from __future__ import annotations

from weightgen.diagnostics import (
    butterfly,
    criticality,
    entropy,
    functional_dimension,
    gaussianity,
    gradsign,
    information,
    interval_tightness,
    jacobian,
    kernel,
    laziness,
    learning_rate,
    neuron_alignment,
    rotation,
    saliency,
    scale_invariance,
    sharpness,
    straight_line,
    synflow,
    variance,
)
from weightgen.diagnostics.comparison import Comparison
from weightgen.diagnostics.measure import Measure

MEASURES: dict[str, Measure] = {
    "variance": Measure(
        variance.variance,
        "Glorot and Bengio 2010; He et al. 2015",
        "whether outputs and gradients keep their variance through the layers",
        "seconds",
    ),
    "criticality": Measure(
        criticality.criticality,
        "Schoenholz et al. 2017",
        "whether nearby inputs drift apart (chi > 1) or together (chi < 1)",
        "seconds",
    ),
    "jacobian": Measure(
        jacobian.jacobian,
        "Pennington, Schoenholz and Ganguli 2017",
        "singular values from inputs to outputs: near 1, every direction passes",
        "minutes",
    ),
    "kernel": Measure(
        kernel.kernel,
        "Mohamadi, Bae and Sutherland 2023",
        "eigenvalues of the tangent kernel: which differences of items are learned first, and how unevenly",
        "seconds",
    ),
    "gradsign": Measure(
        gradsign.gradsign, "Zhang and Jia 2022", "how well the gradients of single items agree in sign", "seconds"
    ),
    "snip": Measure(
        saliency.snip, "Lee, Ajanthan and Torr 2019", "on which layers' connections the loss depends most", "seconds"
    ),
    "grasp": Measure(
        saliency.grasp, "Wang, Zhang and Grosse 2020", "on which layers the gradient's norm rests", "seconds"
    ),
    "synflow": Measure(
        synflow.synflow, "Tanaka et al. 2020", "what each layer holds of the flow, without data", "seconds"
    ),
    "entropy": Measure(
        entropy.entropy,
        "Liao, Liu et al. 2024",
        "how many bits of the differences between items layers keep, by diffusion spectral entropy",
        "seconds",
    ),
    "information": Measure(
        information.information,
        "Chelombiev, Houghton and O'Donnell 2019",
        "which layers tell items, and classes, apart, by adaptive bins",
        "seconds",
    ),
    "alignment": Measure(
        neuron_alignment.alignment,
        "Min, Mallada and Vidal 2024",
        "stable ranks of weights, and whether first neurons point at classes",
        "seconds",
    ),
    "gaussianity": Measure(
        gaussianity.gaussianity,
        "Antognini 2019",
        "how far outputs are from those of infinite width, over draws of the weights",
        "minutes",
    ),
    "functional-dimension": Measure(
        functional_dimension.functional_dimension,
        "Grigsby, Lindsey and Rolnick 2023",
        "how many directions of the parameters change what a very small network computes",
        "minutes",
    ),
    "interval-tightness": Measure(
        interval_tightness.interval_tightness,
        "Mao et al. 2024",
        "how much of what interval bounds allow outputs can really do",
        "minutes",
    ),
    "scale-invariance": Measure(
        scale_invariance.scale_invariance, "Ioffe and Szegedy 2015", "which layers' scale a norm cancels", "minutes"
    ),
    "sharpness": Measure(
        sharpness.sharpness, "Iyer, Hanin and Rolnick 2023", "the largest eigenvalue of the Hessian", "minutes"
    ),
    "learning-rate": Measure(
        learning_rate.learning_rate,
        "Iyer, Hanin and Rolnick 2023",
        "the largest rate with which training does not fail",
        "minutes",
    ),
}
"""Name -> measure, in the order in which they are shown."""

COMPARISONS: dict[str, Comparison] = {
    "rotation": Comparison(
        rotation.rotation,
        "Carbonnelle and De Vleeschouwer 2018",
        "how far each layer's weights turned away from the start",
        "seconds",
    ),
    "straight-line": Comparison(
        straight_line.straight_line,
        "Goodfellow, Vinyals and Saxe 2015",
        "whether the loss falls all the way on the line from the start",
        "seconds",
    ),
    "laziness": Comparison(
        laziness.laziness,
        "Liu et al. 2024",
        "whether training kept the tangent kernel (lazy) or changed it (rich)",
        "seconds",
    ),
    "butterfly": Comparison(
        butterfly.butterfly,
        "Altintas et al. 2025",
        "distance and barrier between two trainings, before and after permutations are aligned",
        "minutes",
    ),
}
"""Name -> comparison of a model with the start that it came from, or with another training."""
