"""The inputs from the field that are about labels: the message that refuses them, or their classes."""

REFUSED = {
    "celeba_txt": r"(?s)CelebA's form.*`absent: -1`",
    "coco_roboflow_placeholder": r"(?s)none of 2 classes can be evaluated.*left out as a class: 'RBC-WBC'",
    "coco_same_category_name_twice": r"category name 'cat' is there 2 times",
    "coco_same_image_id_twice": r"image id 0 is there 2 times: entry 0 \('a0.png'\) and entry 5 \('b0.png'\)",
    "excel_german": r"(?s)Gr\u00f6\u00dfe \(MB\).*separated by ';'.*decimal comma.*`classes`",
    "headerless_csv": r"expected a heading",
    "hf_image_bytes": r"none of 1 classes can be evaluated on 8 images",
    "lvis_negative_ids": r"neg_category_ids",
    "meka_count_in_filtered_relation": r"Weka's filters.*give `num_labels`.*`classes`",
    "names_that_differ_in_form": r"(?s)5 problems.*NFC.*\\ between folders.*upper and lower case.*suffix",
    "no_label_at_all": r"no label is annotated",
    "positives_only_map_100": r"(?s)AP would be 100.*validation: \{labels: estimated\}",
    "separator_left_at_default": r"no cell holds ';', 4 of 10 hold '\|': `separator: \"\|\"`",
}
CLASSES = {
    "arff_escaped_apostrophe": ("Swainson's Thrush",),
    "label_studio_choices_cell": ("Cat", "Dog"),
    "parquet_list_of_labels": ("cat", "dog"),
}
