import datetime

from google.protobuf import field_mask_pb2 as _field_mask_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from visionmesh.v1 import common_pb2 as _common_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class DatasetFormat(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    DATASET_FORMAT_UNSPECIFIED: _ClassVar[DatasetFormat]
    DATASET_FORMAT_DICE: _ClassVar[DatasetFormat]
    DATASET_FORMAT_IMAGE_FOLDER: _ClassVar[DatasetFormat]
    DATASET_FORMAT_YOLO: _ClassVar[DatasetFormat]
    DATASET_FORMAT_COCO: _ClassVar[DatasetFormat]
    DATASET_FORMAT_VOC: _ClassVar[DatasetFormat]

class Visibility(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    VISIBILITY_UNSPECIFIED: _ClassVar[Visibility]
    VISIBILITY_PRIVATE: _ClassVar[Visibility]
    VISIBILITY_PROJECT: _ClassVar[Visibility]
    VISIBILITY_PUBLIC: _ClassVar[Visibility]

class DatasetState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    DATASET_STATE_UNSPECIFIED: _ClassVar[DatasetState]
    DATASET_STATE_UPLOADING: _ClassVar[DatasetState]
    DATASET_STATE_ANALYZING: _ClassVar[DatasetState]
    DATASET_STATE_READY: _ClassVar[DatasetState]
    DATASET_STATE_FAILED: _ClassVar[DatasetState]

class ProblemSeverity(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    PROBLEM_SEVERITY_UNSPECIFIED: _ClassVar[ProblemSeverity]
    PROBLEM_SEVERITY_WARNING: _ClassVar[ProblemSeverity]
    PROBLEM_SEVERITY_ERROR: _ClassVar[ProblemSeverity]

class PreviewEncoding(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    PREVIEW_ENCODING_UNSPECIFIED: _ClassVar[PreviewEncoding]
    PREVIEW_ENCODING_JPEG: _ClassVar[PreviewEncoding]
    PREVIEW_ENCODING_PNG: _ClassVar[PreviewEncoding]
DATASET_FORMAT_UNSPECIFIED: DatasetFormat
DATASET_FORMAT_DICE: DatasetFormat
DATASET_FORMAT_IMAGE_FOLDER: DatasetFormat
DATASET_FORMAT_YOLO: DatasetFormat
DATASET_FORMAT_COCO: DatasetFormat
DATASET_FORMAT_VOC: DatasetFormat
VISIBILITY_UNSPECIFIED: Visibility
VISIBILITY_PRIVATE: Visibility
VISIBILITY_PROJECT: Visibility
VISIBILITY_PUBLIC: Visibility
DATASET_STATE_UNSPECIFIED: DatasetState
DATASET_STATE_UPLOADING: DatasetState
DATASET_STATE_ANALYZING: DatasetState
DATASET_STATE_READY: DatasetState
DATASET_STATE_FAILED: DatasetState
PROBLEM_SEVERITY_UNSPECIFIED: ProblemSeverity
PROBLEM_SEVERITY_WARNING: ProblemSeverity
PROBLEM_SEVERITY_ERROR: ProblemSeverity
PREVIEW_ENCODING_UNSPECIFIED: PreviewEncoding
PREVIEW_ENCODING_JPEG: PreviewEncoding
PREVIEW_ENCODING_PNG: PreviewEncoding

class ClassDistribution(_message.Message):
    __slots__ = ("images",)
    class ImagesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    IMAGES_FIELD_NUMBER: _ClassVar[int]
    images: _containers.ScalarMap[str, int]
    def __init__(self, images: _Optional[_Mapping[str, int]] = ...) -> None: ...

class Dataset(_message.Message):
    __slots__ = ("id", "name", "description", "format", "visibility", "project_id", "user_id", "tags", "state", "failure", "file_count", "total_size_bytes", "num_classes", "class_names", "class_distribution", "task_types", "storage_path", "manifest_digest", "create_time", "update_time", "val_fraction", "split_seed", "format_detected_from", "object_count", "import_source")
    class ClassDistributionEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: ClassDistribution
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[ClassDistribution, _Mapping]] = ...) -> None: ...
    ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    FORMAT_FIELD_NUMBER: _ClassVar[int]
    VISIBILITY_FIELD_NUMBER: _ClassVar[int]
    PROJECT_ID_FIELD_NUMBER: _ClassVar[int]
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    TAGS_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    FILE_COUNT_FIELD_NUMBER: _ClassVar[int]
    TOTAL_SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    NUM_CLASSES_FIELD_NUMBER: _ClassVar[int]
    CLASS_NAMES_FIELD_NUMBER: _ClassVar[int]
    CLASS_DISTRIBUTION_FIELD_NUMBER: _ClassVar[int]
    TASK_TYPES_FIELD_NUMBER: _ClassVar[int]
    STORAGE_PATH_FIELD_NUMBER: _ClassVar[int]
    MANIFEST_DIGEST_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    UPDATE_TIME_FIELD_NUMBER: _ClassVar[int]
    VAL_FRACTION_FIELD_NUMBER: _ClassVar[int]
    SPLIT_SEED_FIELD_NUMBER: _ClassVar[int]
    FORMAT_DETECTED_FROM_FIELD_NUMBER: _ClassVar[int]
    OBJECT_COUNT_FIELD_NUMBER: _ClassVar[int]
    IMPORT_SOURCE_FIELD_NUMBER: _ClassVar[int]
    id: str
    name: str
    description: str
    format: DatasetFormat
    visibility: Visibility
    project_id: str
    user_id: str
    tags: _containers.RepeatedScalarFieldContainer[str]
    state: DatasetState
    failure: _common_pb2.Failure
    file_count: int
    total_size_bytes: int
    num_classes: int
    class_names: _containers.RepeatedScalarFieldContainer[str]
    class_distribution: _containers.MessageMap[str, ClassDistribution]
    task_types: _containers.RepeatedScalarFieldContainer[_common_pb2.TaskType]
    storage_path: str
    manifest_digest: str
    create_time: _timestamp_pb2.Timestamp
    update_time: _timestamp_pb2.Timestamp
    val_fraction: float
    split_seed: int
    format_detected_from: str
    object_count: int
    import_source: str
    def __init__(self, id: _Optional[str] = ..., name: _Optional[str] = ..., description: _Optional[str] = ..., format: _Optional[_Union[DatasetFormat, str]] = ..., visibility: _Optional[_Union[Visibility, str]] = ..., project_id: _Optional[str] = ..., user_id: _Optional[str] = ..., tags: _Optional[_Iterable[str]] = ..., state: _Optional[_Union[DatasetState, str]] = ..., failure: _Optional[_Union[_common_pb2.Failure, _Mapping]] = ..., file_count: _Optional[int] = ..., total_size_bytes: _Optional[int] = ..., num_classes: _Optional[int] = ..., class_names: _Optional[_Iterable[str]] = ..., class_distribution: _Optional[_Mapping[str, ClassDistribution]] = ..., task_types: _Optional[_Iterable[_Union[_common_pb2.TaskType, str]]] = ..., storage_path: _Optional[str] = ..., manifest_digest: _Optional[str] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., update_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., val_fraction: _Optional[float] = ..., split_seed: _Optional[int] = ..., format_detected_from: _Optional[str] = ..., object_count: _Optional[int] = ..., import_source: _Optional[str] = ...) -> None: ...

class Histogram(_message.Message):
    __slots__ = ("lower_bounds", "counts")
    LOWER_BOUNDS_FIELD_NUMBER: _ClassVar[int]
    COUNTS_FIELD_NUMBER: _ClassVar[int]
    lower_bounds: _containers.RepeatedScalarFieldContainer[float]
    counts: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, lower_bounds: _Optional[_Iterable[float]] = ..., counts: _Optional[_Iterable[int]] = ...) -> None: ...

class DatasetStatistics(_message.Message):
    __slots__ = ("images", "images_without_objects", "objects", "objects_per_image", "relative_box_sizes", "image_sizes", "aspect_ratios")
    class ImagesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    class ImagesWithoutObjectsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    class ObjectsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: ObjectDistribution
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[ObjectDistribution, _Mapping]] = ...) -> None: ...
    IMAGES_FIELD_NUMBER: _ClassVar[int]
    IMAGES_WITHOUT_OBJECTS_FIELD_NUMBER: _ClassVar[int]
    OBJECTS_FIELD_NUMBER: _ClassVar[int]
    OBJECTS_PER_IMAGE_FIELD_NUMBER: _ClassVar[int]
    RELATIVE_BOX_SIZES_FIELD_NUMBER: _ClassVar[int]
    IMAGE_SIZES_FIELD_NUMBER: _ClassVar[int]
    ASPECT_RATIOS_FIELD_NUMBER: _ClassVar[int]
    images: _containers.ScalarMap[str, int]
    images_without_objects: _containers.ScalarMap[str, int]
    objects: _containers.MessageMap[str, ObjectDistribution]
    objects_per_image: Histogram
    relative_box_sizes: Histogram
    image_sizes: Histogram
    aspect_ratios: Histogram
    def __init__(self, images: _Optional[_Mapping[str, int]] = ..., images_without_objects: _Optional[_Mapping[str, int]] = ..., objects: _Optional[_Mapping[str, ObjectDistribution]] = ..., objects_per_image: _Optional[_Union[Histogram, _Mapping]] = ..., relative_box_sizes: _Optional[_Union[Histogram, _Mapping]] = ..., image_sizes: _Optional[_Union[Histogram, _Mapping]] = ..., aspect_ratios: _Optional[_Union[Histogram, _Mapping]] = ...) -> None: ...

class ObjectDistribution(_message.Message):
    __slots__ = ("objects",)
    class ObjectsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    OBJECTS_FIELD_NUMBER: _ClassVar[int]
    objects: _containers.ScalarMap[str, int]
    def __init__(self, objects: _Optional[_Mapping[str, int]] = ...) -> None: ...

class DatasetSpec(_message.Message):
    __slots__ = ("name", "description", "format", "visibility", "project_id", "tags", "val_fraction", "split_seed")
    NAME_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    FORMAT_FIELD_NUMBER: _ClassVar[int]
    VISIBILITY_FIELD_NUMBER: _ClassVar[int]
    PROJECT_ID_FIELD_NUMBER: _ClassVar[int]
    TAGS_FIELD_NUMBER: _ClassVar[int]
    VAL_FRACTION_FIELD_NUMBER: _ClassVar[int]
    SPLIT_SEED_FIELD_NUMBER: _ClassVar[int]
    name: str
    description: str
    format: DatasetFormat
    visibility: Visibility
    project_id: str
    tags: _containers.RepeatedScalarFieldContainer[str]
    val_fraction: float
    split_seed: int
    def __init__(self, name: _Optional[str] = ..., description: _Optional[str] = ..., format: _Optional[_Union[DatasetFormat, str]] = ..., visibility: _Optional[_Union[Visibility, str]] = ..., project_id: _Optional[str] = ..., tags: _Optional[_Iterable[str]] = ..., val_fraction: _Optional[float] = ..., split_seed: _Optional[int] = ...) -> None: ...

class DatasetFile(_message.Message):
    __slots__ = ("path", "size_bytes", "sha256", "split", "label")
    PATH_FIELD_NUMBER: _ClassVar[int]
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    SHA256_FIELD_NUMBER: _ClassVar[int]
    SPLIT_FIELD_NUMBER: _ClassVar[int]
    LABEL_FIELD_NUMBER: _ClassVar[int]
    path: str
    size_bytes: int
    sha256: str
    split: str
    label: str
    def __init__(self, path: _Optional[str] = ..., size_bytes: _Optional[int] = ..., sha256: _Optional[str] = ..., split: _Optional[str] = ..., label: _Optional[str] = ...) -> None: ...

class FileHeader(_message.Message):
    __slots__ = ("path", "size_bytes", "sha256", "unpack")
    PATH_FIELD_NUMBER: _ClassVar[int]
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    SHA256_FIELD_NUMBER: _ClassVar[int]
    UNPACK_FIELD_NUMBER: _ClassVar[int]
    path: str
    size_bytes: int
    sha256: str
    unpack: bool
    def __init__(self, path: _Optional[str] = ..., size_bytes: _Optional[int] = ..., sha256: _Optional[str] = ..., unpack: _Optional[bool] = ...) -> None: ...

class DatasetProblem(_message.Message):
    __slots__ = ("path", "kind", "severity", "message")
    PATH_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    SEVERITY_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    path: str
    kind: str
    severity: ProblemSeverity
    message: str
    def __init__(self, path: _Optional[str] = ..., kind: _Optional[str] = ..., severity: _Optional[_Union[ProblemSeverity, str]] = ..., message: _Optional[str] = ...) -> None: ...

class CreateDatasetRequest(_message.Message):
    __slots__ = ("dataset", "request_id")
    DATASET_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    dataset: DatasetSpec
    request_id: str
    def __init__(self, dataset: _Optional[_Union[DatasetSpec, _Mapping]] = ..., request_id: _Optional[str] = ...) -> None: ...

class CreateDatasetResponse(_message.Message):
    __slots__ = ("dataset",)
    DATASET_FIELD_NUMBER: _ClassVar[int]
    dataset: Dataset
    def __init__(self, dataset: _Optional[_Union[Dataset, _Mapping]] = ...) -> None: ...

class UploadFilesRequest(_message.Message):
    __slots__ = ("dataset_id", "header", "chunk")
    DATASET_ID_FIELD_NUMBER: _ClassVar[int]
    HEADER_FIELD_NUMBER: _ClassVar[int]
    CHUNK_FIELD_NUMBER: _ClassVar[int]
    dataset_id: str
    header: FileHeader
    chunk: bytes
    def __init__(self, dataset_id: _Optional[str] = ..., header: _Optional[_Union[FileHeader, _Mapping]] = ..., chunk: _Optional[bytes] = ...) -> None: ...

class UploadFilesResponse(_message.Message):
    __slots__ = ("file",)
    FILE_FIELD_NUMBER: _ClassVar[int]
    file: DatasetFile
    def __init__(self, file: _Optional[_Union[DatasetFile, _Mapping]] = ...) -> None: ...

class FinalizeDatasetRequest(_message.Message):
    __slots__ = ("dataset_id",)
    DATASET_ID_FIELD_NUMBER: _ClassVar[int]
    dataset_id: str
    def __init__(self, dataset_id: _Optional[str] = ...) -> None: ...

class FinalizeDatasetResponse(_message.Message):
    __slots__ = ("dataset",)
    DATASET_FIELD_NUMBER: _ClassVar[int]
    dataset: Dataset
    def __init__(self, dataset: _Optional[_Union[Dataset, _Mapping]] = ...) -> None: ...

class WatchDatasetRequest(_message.Message):
    __slots__ = ("dataset_id",)
    DATASET_ID_FIELD_NUMBER: _ClassVar[int]
    dataset_id: str
    def __init__(self, dataset_id: _Optional[str] = ...) -> None: ...

class WatchDatasetResponse(_message.Message):
    __slots__ = ("dataset", "analyzed_files", "total_files")
    DATASET_FIELD_NUMBER: _ClassVar[int]
    ANALYZED_FILES_FIELD_NUMBER: _ClassVar[int]
    TOTAL_FILES_FIELD_NUMBER: _ClassVar[int]
    dataset: Dataset
    analyzed_files: int
    total_files: int
    def __init__(self, dataset: _Optional[_Union[Dataset, _Mapping]] = ..., analyzed_files: _Optional[int] = ..., total_files: _Optional[int] = ...) -> None: ...

class UploadDatasetRequest(_message.Message):
    __slots__ = ("spec", "header", "chunk")
    SPEC_FIELD_NUMBER: _ClassVar[int]
    HEADER_FIELD_NUMBER: _ClassVar[int]
    CHUNK_FIELD_NUMBER: _ClassVar[int]
    spec: DatasetSpec
    header: FileHeader
    chunk: bytes
    def __init__(self, spec: _Optional[_Union[DatasetSpec, _Mapping]] = ..., header: _Optional[_Union[FileHeader, _Mapping]] = ..., chunk: _Optional[bytes] = ...) -> None: ...

class UploadDatasetResponse(_message.Message):
    __slots__ = ("dataset",)
    DATASET_FIELD_NUMBER: _ClassVar[int]
    dataset: Dataset
    def __init__(self, dataset: _Optional[_Union[Dataset, _Mapping]] = ...) -> None: ...

class PrepareUploadsRequest(_message.Message):
    __slots__ = ("dataset_id", "files")
    DATASET_ID_FIELD_NUMBER: _ClassVar[int]
    FILES_FIELD_NUMBER: _ClassVar[int]
    dataset_id: str
    files: _containers.RepeatedCompositeFieldContainer[FileHeader]
    def __init__(self, dataset_id: _Optional[str] = ..., files: _Optional[_Iterable[_Union[FileHeader, _Mapping]]] = ...) -> None: ...

class PresignedUpload(_message.Message):
    __slots__ = ("path", "url", "headers", "expire_time")
    class HeadersEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    PATH_FIELD_NUMBER: _ClassVar[int]
    URL_FIELD_NUMBER: _ClassVar[int]
    HEADERS_FIELD_NUMBER: _ClassVar[int]
    EXPIRE_TIME_FIELD_NUMBER: _ClassVar[int]
    path: str
    url: str
    headers: _containers.ScalarMap[str, str]
    expire_time: _timestamp_pb2.Timestamp
    def __init__(self, path: _Optional[str] = ..., url: _Optional[str] = ..., headers: _Optional[_Mapping[str, str]] = ..., expire_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class PrepareUploadsResponse(_message.Message):
    __slots__ = ("uploads", "stored_paths")
    UPLOADS_FIELD_NUMBER: _ClassVar[int]
    STORED_PATHS_FIELD_NUMBER: _ClassVar[int]
    uploads: _containers.RepeatedCompositeFieldContainer[PresignedUpload]
    stored_paths: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, uploads: _Optional[_Iterable[_Union[PresignedUpload, _Mapping]]] = ..., stored_paths: _Optional[_Iterable[str]] = ...) -> None: ...

class ImportDatasetRequest(_message.Message):
    __slots__ = ("dataset", "prefix", "request_id")
    DATASET_FIELD_NUMBER: _ClassVar[int]
    PREFIX_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    dataset: DatasetSpec
    prefix: str
    request_id: str
    def __init__(self, dataset: _Optional[_Union[DatasetSpec, _Mapping]] = ..., prefix: _Optional[str] = ..., request_id: _Optional[str] = ...) -> None: ...

class ImportDatasetResponse(_message.Message):
    __slots__ = ("dataset",)
    DATASET_FIELD_NUMBER: _ClassVar[int]
    dataset: Dataset
    def __init__(self, dataset: _Optional[_Union[Dataset, _Mapping]] = ...) -> None: ...

class GetDatasetRequest(_message.Message):
    __slots__ = ("dataset_id",)
    DATASET_ID_FIELD_NUMBER: _ClassVar[int]
    dataset_id: str
    def __init__(self, dataset_id: _Optional[str] = ...) -> None: ...

class GetDatasetResponse(_message.Message):
    __slots__ = ("dataset", "statistics")
    DATASET_FIELD_NUMBER: _ClassVar[int]
    STATISTICS_FIELD_NUMBER: _ClassVar[int]
    dataset: Dataset
    statistics: DatasetStatistics
    def __init__(self, dataset: _Optional[_Union[Dataset, _Mapping]] = ..., statistics: _Optional[_Union[DatasetStatistics, _Mapping]] = ...) -> None: ...

class ListDatasetsRequest(_message.Message):
    __slots__ = ("project_id", "format", "state", "text", "tags", "page_size", "page_token")
    PROJECT_ID_FIELD_NUMBER: _ClassVar[int]
    FORMAT_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    TAGS_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    project_id: str
    format: DatasetFormat
    state: DatasetState
    text: str
    tags: _containers.RepeatedScalarFieldContainer[str]
    page_size: int
    page_token: str
    def __init__(self, project_id: _Optional[str] = ..., format: _Optional[_Union[DatasetFormat, str]] = ..., state: _Optional[_Union[DatasetState, str]] = ..., text: _Optional[str] = ..., tags: _Optional[_Iterable[str]] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListDatasetsResponse(_message.Message):
    __slots__ = ("datasets", "next_page_token", "total_size")
    DATASETS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    TOTAL_SIZE_FIELD_NUMBER: _ClassVar[int]
    datasets: _containers.RepeatedCompositeFieldContainer[Dataset]
    next_page_token: str
    total_size: int
    def __init__(self, datasets: _Optional[_Iterable[_Union[Dataset, _Mapping]]] = ..., next_page_token: _Optional[str] = ..., total_size: _Optional[int] = ...) -> None: ...

class ListDatasetFilesRequest(_message.Message):
    __slots__ = ("dataset_id", "page_size", "page_token")
    DATASET_ID_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    dataset_id: str
    page_size: int
    page_token: str
    def __init__(self, dataset_id: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListDatasetFilesResponse(_message.Message):
    __slots__ = ("files", "next_page_token", "total_size")
    FILES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    TOTAL_SIZE_FIELD_NUMBER: _ClassVar[int]
    files: _containers.RepeatedCompositeFieldContainer[DatasetFile]
    next_page_token: str
    total_size: int
    def __init__(self, files: _Optional[_Iterable[_Union[DatasetFile, _Mapping]]] = ..., next_page_token: _Optional[str] = ..., total_size: _Optional[int] = ...) -> None: ...

class ListDatasetProblemsRequest(_message.Message):
    __slots__ = ("dataset_id", "page_size", "page_token")
    DATASET_ID_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    dataset_id: str
    page_size: int
    page_token: str
    def __init__(self, dataset_id: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListDatasetProblemsResponse(_message.Message):
    __slots__ = ("problems", "next_page_token", "total_size")
    PROBLEMS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    TOTAL_SIZE_FIELD_NUMBER: _ClassVar[int]
    problems: _containers.RepeatedCompositeFieldContainer[DatasetProblem]
    next_page_token: str
    total_size: int
    def __init__(self, problems: _Optional[_Iterable[_Union[DatasetProblem, _Mapping]]] = ..., next_page_token: _Optional[str] = ..., total_size: _Optional[int] = ...) -> None: ...

class GetDatasetPreviewRequest(_message.Message):
    __slots__ = ("dataset_id", "path", "max_side", "encoding", "image_count", "split", "class_name", "seed", "without_annotations")
    DATASET_ID_FIELD_NUMBER: _ClassVar[int]
    PATH_FIELD_NUMBER: _ClassVar[int]
    MAX_SIDE_FIELD_NUMBER: _ClassVar[int]
    ENCODING_FIELD_NUMBER: _ClassVar[int]
    IMAGE_COUNT_FIELD_NUMBER: _ClassVar[int]
    SPLIT_FIELD_NUMBER: _ClassVar[int]
    CLASS_NAME_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    WITHOUT_ANNOTATIONS_FIELD_NUMBER: _ClassVar[int]
    dataset_id: str
    path: str
    max_side: int
    encoding: PreviewEncoding
    image_count: int
    split: str
    class_name: str
    seed: int
    without_annotations: bool
    def __init__(self, dataset_id: _Optional[str] = ..., path: _Optional[str] = ..., max_side: _Optional[int] = ..., encoding: _Optional[_Union[PreviewEncoding, str]] = ..., image_count: _Optional[int] = ..., split: _Optional[str] = ..., class_name: _Optional[str] = ..., seed: _Optional[int] = ..., without_annotations: _Optional[bool] = ...) -> None: ...

class GetDatasetPreviewResponse(_message.Message):
    __slots__ = ("image", "content_type", "paths", "width", "height")
    IMAGE_FIELD_NUMBER: _ClassVar[int]
    CONTENT_TYPE_FIELD_NUMBER: _ClassVar[int]
    PATHS_FIELD_NUMBER: _ClassVar[int]
    WIDTH_FIELD_NUMBER: _ClassVar[int]
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    image: bytes
    content_type: str
    paths: _containers.RepeatedScalarFieldContainer[str]
    width: int
    height: int
    def __init__(self, image: _Optional[bytes] = ..., content_type: _Optional[str] = ..., paths: _Optional[_Iterable[str]] = ..., width: _Optional[int] = ..., height: _Optional[int] = ...) -> None: ...

class UpdateDatasetRequest(_message.Message):
    __slots__ = ("dataset_id", "dataset", "update_mask")
    DATASET_ID_FIELD_NUMBER: _ClassVar[int]
    DATASET_FIELD_NUMBER: _ClassVar[int]
    UPDATE_MASK_FIELD_NUMBER: _ClassVar[int]
    dataset_id: str
    dataset: DatasetSpec
    update_mask: _field_mask_pb2.FieldMask
    def __init__(self, dataset_id: _Optional[str] = ..., dataset: _Optional[_Union[DatasetSpec, _Mapping]] = ..., update_mask: _Optional[_Union[_field_mask_pb2.FieldMask, _Mapping]] = ...) -> None: ...

class UpdateDatasetResponse(_message.Message):
    __slots__ = ("dataset",)
    DATASET_FIELD_NUMBER: _ClassVar[int]
    dataset: Dataset
    def __init__(self, dataset: _Optional[_Union[Dataset, _Mapping]] = ...) -> None: ...

class DeleteDatasetRequest(_message.Message):
    __slots__ = ("dataset_id",)
    DATASET_ID_FIELD_NUMBER: _ClassVar[int]
    dataset_id: str
    def __init__(self, dataset_id: _Optional[str] = ...) -> None: ...

class DeleteDatasetResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class DownloadDatasetRequest(_message.Message):
    __slots__ = ("dataset_id", "path_prefix", "after_path", "splits")
    DATASET_ID_FIELD_NUMBER: _ClassVar[int]
    PATH_PREFIX_FIELD_NUMBER: _ClassVar[int]
    AFTER_PATH_FIELD_NUMBER: _ClassVar[int]
    SPLITS_FIELD_NUMBER: _ClassVar[int]
    dataset_id: str
    path_prefix: str
    after_path: str
    splits: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, dataset_id: _Optional[str] = ..., path_prefix: _Optional[str] = ..., after_path: _Optional[str] = ..., splits: _Optional[_Iterable[str]] = ...) -> None: ...

class DownloadDatasetResponse(_message.Message):
    __slots__ = ("chunk", "last_path", "total_files", "total_size_bytes")
    CHUNK_FIELD_NUMBER: _ClassVar[int]
    LAST_PATH_FIELD_NUMBER: _ClassVar[int]
    TOTAL_FILES_FIELD_NUMBER: _ClassVar[int]
    TOTAL_SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    chunk: bytes
    last_path: str
    total_files: int
    total_size_bytes: int
    def __init__(self, chunk: _Optional[bytes] = ..., last_path: _Optional[str] = ..., total_files: _Optional[int] = ..., total_size_bytes: _Optional[int] = ...) -> None: ...
